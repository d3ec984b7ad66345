"""What was typed reaches the configuration as it was meant."""

from pathlib import Path

import pytest

from resnet_lab.config.overrides import read
from resnet_lab.config.request import compose
from resnet_lab.errors import UserError
from swept import configurations

TEXT = {
    "name=2024_11_25": "2024_11_25",
    "name=1e3": "1e3",
    "name=true": "true",
    "name=007": "007",
    "name=12": "12",
    "name='1e3'": "1e3",
    "name=a b": "a b",
    "name=he2015/fig6": "he2015/fig6",
}


@pytest.mark.parametrize("override", TEXT)
def test_text_stays_as_it_was_typed(override: str) -> None:
    assert compose([override]).name == TEXT[override]


def test_text_in_lists_and_sweeps_stays_as_it_was_typed() -> None:
    assert compose(["logger.tags=[2024_11,a,true]"]).logger.tags == ["2024_11", "a", "true"]
    assert [each.name for each in configurations(["name=2024_11,1e3,a"])] == ["2024_11", "1e3", "a"]


def test_a_number_stays_a_number() -> None:
    config = compose(["recipe.iterations=1_000", "recipe.epochs=null", "recipe.lr=1e-3", "precision=16"])
    assert (config.recipe.iterations, config.recipe.lr, config.precision) == (1000, 1e-3, "16")


def test_tilde_is_the_home_in_every_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "images").mkdir()
    config = compose(["data.root=~/images", "runs_root=~/runs", "run_dir='~/runs/one'"])
    told = (config.data.root, config.runs_root, config.run_dir)
    assert told == tuple(str(tmp_path / each) for each in ("images", "runs", "runs/one"))
    roots = [each.data.root for each in configurations(["data.root=~/images,~"])]
    assert roots == [str(tmp_path / "images"), str(tmp_path)]


@pytest.mark.parametrize("devices", ["auto", "-1"])
def test_all_devices_are_minus_one(devices: str) -> None:
    assert compose([f"trainer.devices={devices}"]).trainer.devices == -1


@pytest.mark.parametrize("override", ["model.block=auto", "trainer.accelerator=auto", "logger.mode=auto"])
def test_auto_is_all_devices_of_no_other_key(override: str) -> None:
    assert read([override]) == [override]


@pytest.mark.parametrize(
    "override", ["experiment=quickstart", "+experiment=quickstart", "++experiment=quickstart"]
)
def test_a_group_is_chosen_with_a_plus_too(override: str) -> None:
    assert compose([override]).name == "quickstart"


def test_a_glob_sweeps_over_the_options_of_its_group() -> None:
    assert len(configurations(["model=glob(cifar_*)", "model.depth=20"])) == 3


@pytest.mark.parametrize(
    "typed", ["name=2024_11", "data.root=~/x", "+model=resnet50", "trainer.devices=auto"]
)
def test_what_was_read_may_be_read_again(typed: str) -> None:
    once = read([typed])
    assert read(once) == once


def test_a_list_of_loggers_is_all_of_them() -> None:
    assert compose(["logger=[wandb,tensorboard]"]).logger.trackers == ["wandb", "tensorboard"]
    assert compose(["logger.names=[csv,wandb]"]).logger.trackers == ["wandb"]
    assert compose(["logger=wandb"]).logger.trackers == ["wandb"]


@pytest.mark.parametrize(
    ("override", "fault"),
    [
        ("logger=[]", "at least one"),
        ("logger.names=[wand]", "wandb"),
        ("logger.project=a/b", "'/'"),
        ("logger.project=''", "empty"),
        (f"logger.project={'p' * 129}", "128"),
        ("logger.entity=a:b", "':'"),
        (f"logger.tags=[a,{'t' * 65}]", "64"),
        ("logger.tags=['']", "empty"),
    ],
)
def test_what_wandb_would_refuse_is_refused_when_composed(override: str, fault: str) -> None:
    with pytest.raises(UserError, match=fault):
        compose([override])
