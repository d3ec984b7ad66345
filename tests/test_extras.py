"""Deleting the folder of an extra leaves everything else working."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import resnet_lab
import resnet_lab.cli
from resnet_lab.extras import commands

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
EXTRAS = {  # a folder: commands that go with it, and options
    "share": ({"pack", "unpack"}, set()),
    "plan": ({"plan"}, set()),
    "template": ({"new"}, set()),
    "report/page": (set(), {"--page", "--serve"}),
}


@pytest.fixture(scope="module")
def without_extras(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package without any of them, beside its configurations."""
    root = tmp_path_factory.mktemp("core")
    left_out = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, root / "src/resnet_lab", ignore=left_out)
    shutil.copytree(PACKAGE.parent / "hydra_plugins", root / "src/hydra_plugins", ignore=left_out)
    shutil.copytree(PACKAGE.parents[1] / "configs", root / "configs")
    for extra in EXTRAS:
        shutil.rmtree(root / "src/resnet_lab" / extra)
    return root


def resnet_lab_of(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "resnet_lab", *arguments],
        capture_output=True,
        text=True,
        cwd=root,
        env={"PYTHONPATH": str(root / "src"), "PATH": "/usr/bin:/bin", "HOME": str(root)},
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("extra", EXTRAS)
def test_what_an_extra_adds_lies_in_its_folder(extra: str) -> None:
    added, options = EXTRAS[extra]
    text = (PACKAGE / extra / "register.py").read_text()
    assert added <= set(commands())
    assert all(f"def {name}(" in text for name in added)
    assert options <= {name for each in commands()["report"].options for name in each.names}
    assert all(f'"{name}' in text for name in options)


def test_without_the_folders_of_the_extras_their_commands_are_gone_and_told(without_extras: Path) -> None:
    listed = resnet_lab_of(without_extras, "--help").stdout
    assert "\n  train " in listed
    for added, _ in EXTRAS.values():
        assert not any(f"\n  {name} " in listed for name in added)
    assert "--page" not in resnet_lab_of(without_extras, "report", "--help").stdout
    done = resnet_lab_of(without_extras, "pack", "runs")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "unknown command 'pack'" in done.stderr


@pytest.mark.slow
def test_without_the_folders_of_the_extras_the_rest_trains_sweeps_and_reports(without_extras: Path) -> None:
    for command in ([*TINY, "name=one"], [*TINY, "-m", "name=two", "seed=0,1"], ["report", "runs"]):
        done = resnet_lab_of(without_extras, *command)
        assert done.returncode == 0, done.stderr
    done = resnet_lab_of(
        without_extras, "evaluate", "--run", *map(str, (without_extras / "runs/one").glob("resnet*"))
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("extra", EXTRAS)
def test_nothing_outside_an_extra_imports_it(extra: str) -> None:
    name = f"resnet_lab.{extra.replace('/', '.')}"
    others = [each for each in PACKAGE.rglob("*.py") if not each.is_relative_to(PACKAGE / extra)]
    assert [str(each) for each in others if re.search(rf"(from|import) {name}\b", each.read_text())] == []
