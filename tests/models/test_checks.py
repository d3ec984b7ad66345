"""Descriptions that cannot be or make no sense are refused with the reason, in one line."""

from typing import Any

import pytest

from resnet_lab.errors import UserError
from resnet_lab.models import create_model

REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("cifar_resnet20", {"depth": 21}, "the nearest that are: 20 and 26"),
    ("cifar_resnet20", {"shortcut": "dropuot"}, "did you mean 'dropout'"),
    ("cifar_resnet20", {"block": "botleneck", "depth": 29}, "did you mean 'bottleneck'"),
    ("cifar_resnet20", {"order": "preactivation"}, "full_preactivation"),
    ("cifar_resnet20", {"dpeth": 20}, "did you mean 'depth'"),
    ("cifar_resnet20", {"shortcut": "none", "order": "full_preactivation"}, "a plain net has no addition"),
    ("cifar_resnet20", {"shortcut": "none", "drop_path": 0.1}, "would silence a plain net"),
    ("cifar_resnet20", {"batch_norm": False, "order": "full_preactivation"}, "places batch norms"),
    ("cifar_resnet20", {"batch_norm": False, "zero_init_gamma": True}, "needs batch_norm"),
    ("cifar_resnet20", {"order": "bn_after_addition", "zero_init_gamma": True}, "silence the shortcut too"),
    ("cifar_resnet20", {"block": "single", "branch_dropout": 0.3}, "a single branch has one"),
    ("cifar_resnet20", {"groups": 2}, "which a basic branch has not"),
    ("resnet50", {"groups": 7}, "do not divide the 64 channels"),
    ("cifar_resnet20", {"width_factor": 0.5}, "with width_factor below 1 use B"),
    ("cifar_resnet20", {"downsample": "pool"}, "is for shortcut=B, C, conv; A does not read it"),
    ("cifar_resnet20", {"zero_channels": "split", "shortcut": "B"}, "is for shortcut=A, constant_scaling"),
    ("cifar_resnet20", {"gate_bias": -3.0}, "is for shortcut=exclusive_gating, shortcut_only_gating"),
    ("cifar_resnet20", {"shortcut_dropout": 0.2}, "is for shortcut=dropout"),
    ("cifar_resnet20", {"zero_channels": "both"}, "zero_channels 'both': allowed: auto, append, split"),
    ("cifar_resnet20", {"shared_preactivation": "projections"}, "is for order=relu_only_preactivation"),
    ("cifar_preact_resnet164", {"shared_preactivation": "first_and_changes"}, "B is the same without"),
    ("cifar_resnet20", {"drop_path": 1.0}, "at least 0 and less than 1"),
    ("cifar_resnet20", {"width": 0}, "must be greater than 0"),
]


@pytest.mark.parametrize(("name", "choices", "told"), REFUSED, ids=lambda value: str(value))
def test_a_net_that_makes_no_sense_is_refused_with_the_reason(
    name: str, choices: dict[str, Any], told: str
) -> None:
    with pytest.raises(UserError) as error:
        create_model(name, **choices)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'resnet50'"):
        create_model("resnet5O")
