"""Deleting the folder of an extra leaves everything else working."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import resnet_lab

PACKAGE = Path(resnet_lab.__file__).parent
TINY = [
    *(
        "train",
        "data=digits",
        "data.train_images=32",
        "data.test_images=16",
        "recipe.epochs=1",
        "model.depth=8",
    ),
    *("recipe.batch_size=16", "trainer.accelerator=cpu", "trainer.progress=false", "trainer.threads=1"),
]
EXTRAS: dict[str, set[str]] = {  # a folder or a file of the package: what goes with it
    "share": {"pack", "unpack"},
    "data/shards": {"prepare", "images shards"},
    "plan": {"plan"},
    "models/foreign": {"weights of other programs foreign"},
    "template": {"new"},
    "tracking": {
        *("sync", "tracker wandb", "tracker tensorboard", "during a run trackers"),
        *("before runs wandb", "during a sweep wandb", "after a sweep wandb"),
    },
    "report/page": {"report --page", "report --serve"},
    "sweeps/ray": {"place ray"},
    "trained/agreement": {"comparison of answers agreement"},
    "debug": {"debug configuration", "debug callbacks"},
    "sweeps/search": {"sweeper SearchSweeper"},
}
LIST = """
import resnet_lab.cli
from resnet_lab.extras import _registered, commands
for name, command in commands().items():
    print(name)
    print(*(f"{name} {each}" for option in command.options for each in option.names), sep="\\n")
for kind, found in _registered.items():
    print(*(f"{kind} {name}" for name in found), sep="\\n")
"""


@pytest.fixture
def without(tmp_path: Path) -> Callable[..., Path]:
    """The package without some extras, beside its configurations."""

    def copied(*extras: str) -> Path:
        left_out = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PACKAGE, tmp_path / "src/resnet_lab", ignore=left_out)
        shutil.copytree(PACKAGE.parent / "hydra_plugins", tmp_path / "src/hydra_plugins", ignore=left_out)
        shutil.copytree(PACKAGE.parents[1] / "configs", tmp_path / "configs")
        for extra in extras:
            path = tmp_path / "src/resnet_lab" / extra
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return tmp_path

    return copied


def python(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=root,
        env={"PYTHONPATH": str(root / "src"), "PATH": "/usr/bin:/bin", "HOME": str(root)},
        timeout=300,
        check=False,
    )


def listed(root: Path) -> set[str]:
    """The commands, their options and what else is registered, in the package below a folder."""
    done = python(root, "-c", LIST)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines())


@pytest.mark.parametrize("extra", EXTRAS)
def test_deleting_an_extra_takes_away_what_it_adds_and_nothing_else(
    extra: str, without: Callable[..., Path]
) -> None:
    every = listed(PACKAGE.parents[1])
    gone = every - listed(without(extra))
    assert EXTRAS[extra] <= gone
    assert gone - EXTRAS[extra] <= {each for each in every if each.split()[0] in EXTRAS[extra]}


def test_what_an_extra_adds_is_unknown_without_it(without: Callable[..., Path]) -> None:
    root = without(*EXTRAS)
    for command, words in {
        ("pack", "runs"): "unknown command 'pack'",
        ("train", "-m", "hydra/launcher=ray"): "unknown hydra.launcher.place 'ray'",
        ("train", "-m", "hydra/sweeper=optuna"): "hydra/sweeper=optuna",
        ("train", "data=imagenet_shards", "data.root=x"): "shards are an extra",
        ("train", "logger=wandb"): "logger=csv",
        ("train", "debug=overfit"): "debug=overfit",
    }.items():
        done = python(root, "-m", "resnet_lab", *command)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert words in done.stderr


@pytest.mark.slow
def test_without_the_extras_the_rest_trains_sweeps_reports_and_evaluates(
    without: Callable[..., Path],
) -> None:
    root = without(*EXTRAS)
    for command in (
        [*TINY, "name=one"],
        [*TINY, "-m", "name=two", "seed=0,1"],
        ["report", "runs"],
        ["evaluate", "--run", "runs/one/ONE"],
    ):
        one = next((root / "runs/one").glob("resnet*"), root)
        done = python(root, "-m", "resnet_lab", *(word.replace("ONE", one.name) for word in command))
        assert done.returncode == 0, done.stderr
