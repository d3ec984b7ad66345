"""What every net that has a name can do."""

from typing import Any

import pytest
import torch
from torch import Tensor

from resnet_lab.models import create_model, list_models
from resnet_lab.models.named import entry

# Of the same units in the same order, a quarter as wide; the slow tests take each as it is.
NARROW: dict[str, dict[str, int]] = {"cifar": {}, "wide": {"width": 4}, "imagenet": {"width": 16}}


def given(name: str) -> Any:
    """A net of a thousand layers takes three seconds, and has the units of one of a hundred."""
    return pytest.param(name, marks=[pytest.mark.slow] if (entry(name).config.depth or 0) > 1000 else [])


def images(name: str, count: int = 2) -> Tensor:
    side = 32 if entry(name).size == 224 else 8
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", [given(name) for name in list_models()])
def test_a_net_trains_and_keeps_its_state(name: str) -> None:
    assert_trains(name, NARROW[entry(name).config.family])


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in list_models() if NARROW[entry(name).config.family]])
def test_a_net_of_its_own_width_trains_and_keeps_its_state(name: str) -> None:
    assert_trains(name, {})


def assert_trains(name: str, choices: dict[str, int]) -> None:
    torch.manual_seed(0)
    net = create_model(name, **choices)
    x = images(name)
    scores = net(x)
    assert scores.shape == (2, net.fc.out_features)
    scores.logsumexp(1).sum().backward()
    missing = [
        key for key, value in net.named_parameters() if value.grad is None or not value.grad.isfinite().all()
    ]
    assert not missing

    net.eval()
    with torch.device("meta"):
        again = create_model(name, **choices).eval()
    again.load_state_dict(net.state_dict(), strict=True, assign=True)
    with torch.inference_mode():
        expected = net(x)
        assert torch.equal(again(x), expected)
        # Layouts and precisions round differently, and the sums of the deepest nets grow to 1e10 and more.
        close = {"rtol": 1e-3, "atol": 1e-3 * expected.abs().max().item()}
        again.to(memory_format=torch.channels_last)
        torch.testing.assert_close(again(x.to(memory_format=torch.channels_last)), expected, **close)
        with torch.autocast("cpu", torch.bfloat16):
            low = again(x)
        assert low.dtype == torch.bfloat16
        assert low.isfinite().all()
