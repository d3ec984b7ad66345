"""A user's own configurations come before the package's, for every command, in sweeps too."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from resnet_lab.cli import main
from resnet_lab.config import groups
from resnet_lab.config.request import compose
from resnet_lab.errors import UserError
from swept import configurations

NARROW = "defaults: [schema, _self_]\nfamily: cifar\ndepth: 8\nwidth: 4\n"
EXPERIMENT = """# @package _global_
defaults: [{override /model: narrow}]
name: first
hydra: {sweeper: {params: {model.depth: "8,14"}}}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder, with configurations of its own."""
    for name, text in {"model/narrow": NARROW, "experiment/first": EXPERIMENT}.items():
        path = tmp_path / "configs" / f"{name}.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    groups.use([])


def test_configurations_of_the_working_folder_are_options_like_ours(here: Path) -> None:
    assert compose(["model=narrow"]).model.width == 4
    assert "narrow" in groups.groups()["model"]
    assert "resnet50" in groups.groups()["model"]


def test_an_experiment_of_ones_own_is_swept(here: Path) -> None:
    found = configurations(["experiment=first", "seed=0,1"])
    assert [(each.model.depth, each.model.width) for each in found] == [(8, 4), (8, 4), (14, 4), (14, 4)]
    assert {each.name for each in found} == {"first"}


def test_ones_own_take_the_place_of_ours_and_those_that_were_given_of_both(here: Path) -> None:
    (here / "configs/model/resnet50.yaml").write_text(NARROW)
    assert compose(["model=resnet50"]).model.width == 4
    other = here / "other/model/resnet50.yaml"
    other.parent.mkdir(parents=True)
    other.write_text(NARROW.replace("width: 4", "width: 5"))
    groups.use([here / "other"])
    assert compose(["model=resnet50"]).model.width == 5
    assert compose(["model=narrow"]).model.width == 4


def test_the_nearest_right_choice_may_be_ones_own(here: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'narrow'"):
        compose(["model=narow"])


def test_every_command_takes_folders(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "configs").rename(here / "mine")
    plan = ["plan", "-m", "experiment=first", "--gpu", "a100"]
    for said in ([*plan, "--config-dir", "mine"], ["--config-dir", "mine", *plan]):
        assert main(said) == 0
        assert "2 runs" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["train", "--config-dir", "mine", "--help"])
    assert "narrow" in capsys.readouterr().out
    assert main(["train", "model=narrow"]) == 2  # the next call begins anew


def test_a_folder_that_is_none_or_has_a_root_of_its_own_is_told(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--config-dir", "nowhere"]) == 2
    assert capsys.readouterr().err == f"resnet-lab: --config-dir {Path('nowhere')}: no such folder\n"
    (here / "configs/train.yaml").write_text("a: 1\n")
    assert main(["train", "--config-dir", "configs"]) == 2
    assert "own root" in capsys.readouterr().err
    assert "narrow" not in groups.groups()["model"]  # another program's folder


def test_hydras_own_search_path_is_refused_in_favour_of_ours(here: Path) -> None:
    with pytest.raises(UserError, match=r"hydra\.searchpath has no effect: --config-dir DIR"):
        configurations([f"hydra.searchpath=[file://{here}/mine]", "experiment=first"])
