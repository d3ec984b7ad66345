"""local.yaml says what is so on this machine, and nothing that could change a result."""

from pathlib import Path

import pytest

from resnet_lab.config.identity import identity
from resnet_lab.config.request import Request, compose
from resnet_lab.errors import UserError
from swept import configurations


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "local.yaml"


def test_it_sets_what_the_command_line_leaves_open(local: Path) -> None:
    before = compose([])
    local.write_text("runs_root: elsewhere\nlogger: wandb\ntrainer: {progress: false}\n")
    config = compose([])
    assert (config.runs_root, config.trainer.progress) == ("elsewhere", False)
    assert identity(config) == identity(before)
    assert compose(["runs_root=here"]).runs_root == "here"
    assert compose(["logger=csv"]).logger.name == "csv"


def test_it_goes_before_an_experiment_and_holds_in_sweeps(local: Path) -> None:
    own = local.parent / "configs/experiment/mine.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("# @package _global_\nname: mine\ntrainer: {progress: true}\nruns_root: theirs\n")
    local.write_text("trainer: {progress: false}\n")
    for config in configurations(["experiment=mine", "seed=0,1"]):
        assert (config.trainer.progress, config.runs_root) == (False, "theirs")


def test_the_options_of_a_launcher_go_with_its_choice(local: Path) -> None:
    local.write_text("hydra/launcher: slurm\nhydra.launcher: {partition: gpu}\n")
    asked = Request(["seed=0,1"], multirun=True)
    assert asked.hydra_options == ['hydra/launcher="slurm"', 'hydra.launcher.partition="gpu"']
    assert Request(["hydra/launcher=local"], multirun=True).hydra_options == ["hydra/launcher=local"]
    assert len(configurations(["seed=0,1"])) == 2


def test_a_root_is_for_its_own_data_set(local: Path) -> None:
    (local.parent / "images").mkdir()
    local.write_text("data: {cifar10: {root: images, download: false}, cifar100: {root: nowhere}}\n")
    config = compose(["data=cifar10"])
    assert (config.data.root, compose([]).data.root) == ("images", None)
    assert compose(["data=cifar10", "data.root=."]).data.root == "."


def test_saying_it_again_changes_nothing(local: Path) -> None:
    local.write_text("runs_root: elsewhere\nlogger: {tags: [a, b c]}\n")
    once = Request(["seed=1"]).arguments
    assert Request(once).arguments == once
    assert compose(once).logger.tags == ["a", "b c"]


MISTAKES = {
    "recipe: {lr: 1}": "recipe.lr may change a result",
    "seed: 1": "seed may change a result",
    "model: resnet50": "may change a result",
    "runs_rot: x": "did you mean 'runs_root'?",
    "name: mine": "name is of one run",
    "data: {digits: {size: 4}}": "data.digits.size may change a result",
    "data: {digits: {rot: 4}}": "did you mean 'data.digits.root'?",
    "data.root: x": "data.root is of one data set: data: {cifar10: {root: …}}",
    "data: {root: x}": "below data a set's name",
    "- a": "key: value lines are needed",
    "a: [": "local.yaml cannot be read",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_what_it_may_not_say_is_one_line(local: Path, text: str) -> None:
    local.write_text(text)
    for command in (compose, configurations):
        with pytest.raises(UserError) as error:
            command(["recipe.epochs=1"])
        assert MISTAKES[text] in str(error.value)
        assert "\n" not in str(error.value)
