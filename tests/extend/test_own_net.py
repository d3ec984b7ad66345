"""A net of one's own, of files outside the package: trained, killed, resumed, swept, reported, tested, exported."""

import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from forked import killed, restored
from own_project import examples, refused
from resnet_lab.cli import main
from resnet_lab.config.identity import identity
from resnet_lab.config.request import compose
from resnet_lab.errors import UserError
from resnet_lab.plan.cache import Kept
from resnet_lab.plan.estimate import estimate
from resnet_lab.report.collect import collect
from resnet_lab.runs import weights_file
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder
from resnet_lab.trained import network
from swept import configurations

SMALL = [
    *("data.train_images=96", "data.validation=40", "data.test_images=40", "recipe.batch_size=32"),
    *("recipe.epochs=3", "trainer.accelerator=cpu", "trainer.progress=false", "trainer.threads=1"),
]
OWN = ["model=patches", "model.args.dropout=0.2", *SMALL]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The examples, as a user's working folder."""
    with examples(tmp_path, monkeypatch) as folder:
        yield folder


@pytest.fixture
def trained() -> RunFolder:
    folder = RunFolder.create(compose(OWN))
    assert execute(folder.path).state == "finished"
    return folder


def test_it_is_killed_and_ends_as_the_run_that_nothing_disturbed(trained: RunFolder) -> None:
    folder = RunFolder.create(replace(compose(OWN), run_dir="killed"))
    killed(folder, "after", 6)
    assert execute(folder.path).state == "finished"
    assert restored(folder) == [6]
    assert folder.weights_file.read_bytes() == trained.weights_file.read_bytes()


def test_a_sweep_plans_trains_and_reports_it_beside_a_residual_net(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sweep = ["-m", "model=patches,cifar_resnet", "name=both", *SMALL, "recipe.epochs=1"]
    assert main(["plan", *sweep]) == 0
    planned = capsys.readouterr().out
    assert "patches" in planned
    assert "resnet-20" in planned
    assert main(["train", *sweep]) == 0
    assert "2 runs: 2 finished" in capsys.readouterr().out
    assert main(["report", "runs/both"]) == 0
    told = capsys.readouterr().out
    assert [each.depth for each in collect(Path("runs/both"))] == [None, 20]
    assert "| patches " in told
    assert "residual (basic, A)" in told


def test_each_argument_is_a_key_that_is_swept_and_told() -> None:
    runs = configurations(["model=patches", "model.args.width=16,24", *SMALL])
    assert [RunFolder.create(run).path.name.rpartition("-s0-")[0] for run in runs] == [
        "patches",
        "patches-width_24",
    ]
    assert len({identity(run) for run in runs}) == 2


def test_an_edited_net_is_another_run_and_the_old_one_does_not_go_on(project: Path) -> None:
    before = RunFolder.create(compose(OWN))
    code = (project / "patches.py").read_text()
    (project / "patches.py").write_text(code + "\nEDITED = True\n")
    assert compose(OWN).sources != before.config().sources
    assert identity(compose(OWN)) != identity(before.config())
    assert "was edited since this run was made" in execute(before.path).error.message
    with pytest.raises(UserError, match=r"the code of patches\.Patches was edited"):
        network.of_run(before.path)


def test_the_code_and_the_commit_of_the_project_are_kept_as_evidence(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "patches.py"], ["commit", "-q", "-m", "a net"]):
        subprocess.run([*git, *command], cwd=project, check=True)
    folder, stopped = (RunFolder.create(compose([*OWN, f"seed={seed}"])) for seed in (0, 1))
    found = execute(folder.path).environment
    killed(stopped, "after", 3)
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=project, capture_output=True, text=True
    ).stdout.strip()
    assert (found.project_commit, found.project_dirty) == (commit, False)
    code = (project / "patches.py").read_text()
    assert code.rstrip() in (folder.path / "sources.md").read_text()
    assert main(["pack", str(folder.path), "--out", "packed.zip"]) == 0
    assert any(name.endswith("/sources.md") for name in zipfile.ZipFile("packed.zip").namelist())
    (project / "patches.py").write_text(code + "\nEDITED = True\n")
    capsys.readouterr()
    assert main(["evaluate", "--run", str(folder.path)]) == 2
    err = capsys.readouterr().err
    assert f"commit {commit[:10]} of your project and {folder.path / 'sources.md'} as a text" in err
    error = execute(stopped.path).error  # it has no record that could say so
    assert error.kind == "user_error"
    assert f"commit {commit[:10]} of your project" in error.message
    other = RunFolder.create(compose(OWN))
    assert execute(other.path).environment.project_dirty is True


def test_it_is_tested_again_and_exported_with_its_description(
    trained: RunFolder, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "--run", str(trained.path)]) == 0
    error = trained.record().last["test/error"]
    assert f"{error:.2f}" in capsys.readouterr().out
    assert main(["export", str(trained.path), "--out", "net.safetensors"]) == 0
    told = weights_file.described(Path("net.safetensors"))
    assert told is not None
    assert told[0] == replace(trained.config().model)
    (project / "patches.py").write_text((project / "patches.py").read_text() + "\nEDITED = True\n")
    with pytest.raises(UserError, match=r"the code of patches\.Patches was edited"):
        weights_file.described(Path("net.safetensors"))


def test_freezing_its_backbone_trains_its_head(trained: RunFolder) -> None:
    tuned = ["recipe.freeze=backbone", "recipe.epochs=1", f"model.weights={trained.path}", "name=tuned"]
    folder = RunFolder.create(compose([*OWN, *tuned]))
    assert execute(folder.path).state == "finished"
    before, after = weights(trained), weights(folder)
    assert {name for name in before if not torch.equal(before[name], after[name])} == {
        "head.weight",
        "head.bias",
    }


def test_its_cost_is_that_of_the_built_net() -> None:
    cost = estimate(compose(OWN), lambda *_: 0.001, Kept())
    assert cost.parameters == 858
    assert cost.multiply_adds > 0
    assert cost.memory_bytes > 0
    assert cost.seconds == pytest.approx(9 * 32 * 0.001)


@pytest.mark.parametrize("model", ["densenet", "vit"])
def test_the_examples_of_torchvision_compose_for_images_of_cifar(model: str) -> None:

    config = compose([f"model={model}", "data=cifar10"], planned=True).model
    assert config.kind == model
    assert next(config.outline((3, 32, 32)).parameters()).is_meta


MISTAKES: dict[str, tuple[list[str], str]] = {
    "no target": (["model._target_=''"], "model._target_ is needed"),
    "what Hydra refuses": (["model._target_=os.system"], "is refused"),
    "not installed": (["model._target_=timm_.models.net"], "no module 'timm_'"),
    "no such argument": (["+model.args.widht=3"], "unexpected keyword argument 'widht'"),
    "no such key": (["model.depth=20"], "model.depth"),
    "images that do not fit": (["model.args.size=16"], "patches-size_16 for images of 1x8x8"),
    "frozen without weights": (["recipe.freeze=backbone"], "needs trained weights"),
    "refused within an argument": (["+model.args.norm={_target_: os.system}"], "is refused"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_costs_one_line_and_writes_nothing(
    mistake: str, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides, told = MISTAKES[mistake]
    assert told in refused(["model=patches", *SMALL, *overrides], capsys)


def test_what_other_code_finished_is_told_and_trained_anew_beside_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["train", *OWN, "recipe.epochs=1", "name=again"]
    told = "finished by other code of this package; "
    assert main(command) == 0
    [first] = Path("runs/again").iterdir()
    assert told not in capsys.readouterr().err
    made_by_other_code(first)
    assert main(command) == 0
    assert f"{first} was {told}train --fresh trains it anew beside it" in capsys.readouterr().err
    assert main([*command, "-m"]) == 0
    assert f"1 of 1 runs: {told}" in capsys.readouterr().err
    assert main([*command, "--fresh"]) == 0
    assert sorted(Path("runs/again").iterdir()) == [first, first.with_name(f"{first.name}-2")]
    assert main(command) == 0
    assert f"{told}that of this code has -2" in capsys.readouterr().err
    assert main(["report", "runs/again"]) == 0
    assert "seed 0 is there twice: counted once" in capsys.readouterr().out


def made_by_other_code(run: Path) -> None:
    folder = RunFolder(run)
    record = folder.record()
    record.environment.code = "00000000"
    folder.write_record(record)


def weights(folder: RunFolder) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder.weights_file)


def test_its_layers_are_listed_by_its_path_and_as_a_run_would_train_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["models", "torchvision.models.resnet18", "--layers"]) == 0
    listed = capsys.readouterr().out
    assert "layer4.1.conv2" in listed
    assert "resnet18 on 3x32x32" in listed
    assert main(["models", "model=patches", "data=digits", "--layers"]) == 0
    shown = capsys.readouterr().out
    assert "patches on 1x8x8" in shown
    assert main(["models", "patches", "--layers"]) == 0
    assert capsys.readouterr().out == shown
    assert main(["models", "patches.Patches", "--layers"]) == 0
    assert "on 1x8x8" in capsys.readouterr().out
    assert main(["models", "os.system", "--layers"]) == 2
