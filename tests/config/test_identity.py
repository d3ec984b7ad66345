"""A run's identity: what changes it and what must not."""

from collections.abc import Callable
from typing import Any

import pytest

from resnet_lab.config.identity import differences, identity
from resnet_lab.config.schema import LoggerConfig, TrainConfig, TrainerConfig

MakeConfig = Callable[..., TrainConfig]


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"precision": "bf16"},
        {"protocol": "ten_crop"},
        {"model": {"depth": 14}},
        {"recipe": {"lr": 0.2}},
        {"data": {"validation": 0}},
        {"trainer": TrainerConfig(sync_batch_norm=True)},
    ],
)
def test_what_changes_a_result_changes_the_identity(make_config: MakeConfig, change: dict[str, Any]) -> None:
    assert identity(make_config(**change)) != identity(make_config())


@pytest.mark.parametrize(
    "change",
    [
        {"trainer": TrainerConfig(devices=4, strategy="fsdp", threads=7)},
        {"logger": LoggerConfig(name="wandb", tags=["x"])},
        {"name": "elsewhere"},
        {"runs_root": "other"},
        {"data": {"root": "somewhere", "download": False}},
    ],
)
def test_where_a_run_trains_leaves_the_identity_alone(
    make_config: MakeConfig, change: dict[str, Any]
) -> None:
    assert identity(make_config(**change)) == identity(make_config())


@pytest.mark.parametrize(
    ("field", "usual", "other"),
    [
        ("zero_channels", "append", "split"),
        ("shared_preactivation", "first_and_projections", "first_and_changes"),
        ("stem", "3x3", "7x7"),
    ],
)
def test_saying_what_an_open_field_stands_for_makes_no_other_run(
    make_config: MakeConfig, field: str, usual: str, other: str
) -> None:
    opened, written, changed = (
        identity(make_config(model={"order": "full_preactivation", field: value}))
        for value in ("auto", usual, other)
    )
    assert opened == written != changed


def test_identity_is_stable_between_releases(make_config: MakeConfig) -> None:
    """A changed value here orphans every existing run folder: change it knowingly."""
    assert identity(make_config()) == "7a499b97"


def test_differences_name_the_keys(make_config: MakeConfig) -> None:
    ours, theirs = make_config(), make_config(recipe={"lr": 0.2}, seed=3)
    assert differences(ours, theirs) == ["recipe.lr: 0.1 is not 0.2", "seed: 0 is not 3"]
