"""Checkpointing saves memory and changes nothing else: gradients and statistics are the same bits."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from resnet_lab.models import create_model

KINDS: dict[str, dict[str, Any]] = {
    "original": {},
    "pre-activation": {"order": "full_preactivation"},
    "bottlenecks": {"block": "bottleneck", "depth": 56},
    "squeeze and excitation": {"block": "se_basic"},
    "dropout on the shortcut": {"shortcut": "dropout"},
    "stochastic depth": {"drop_path": 0.5},
    "dropout in the branch": {"branch_dropout": 0.3},
}


def trained(checkpointing: bool, **choices: Any) -> nn.Module:
    """After two steps of a deep, narrow net: a mistake in the first statistics shows in no gradient."""
    torch.manual_seed(0)
    net = create_model("cifar_resnet20", width=4, checkpointing=checkpointing, **{"depth": 50, **choices})
    images = torch.randn(2, 4, 3, 8, 8)
    for batch in images:
        net.zero_grad()
        net(batch).logsumexp(1).sum().backward()
    return net


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_and_running_statistics_are_the_same_bits(kind: str) -> None:
    whole, saved = trained(False, **KINDS[kind]), trained(True, **KINDS[kind])
    for (name, value), other in zip(whole.named_parameters(), saved.parameters(), strict=True):
        assert value.grad is not None
        assert other.grad is not None
        assert torch.equal(other.grad, value.grad), name
    for (name, value), other in zip(whole.named_buffers(), saved.buffers(), strict=True):
        assert torch.equal(other, value), name
    assert next(iter(dict(saved.named_buffers()).values())).abs().sum() > 0


def kept(net: nn.Module, images: Tensor) -> int:
    """Bytes that are alive after a forward pass and were not before: what waits for the backward pass."""
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as seen:
        scores = net(images)
    assert scores.requires_grad
    return sum(event.self_cpu_memory_usage for event in seen.key_averages())


def test_a_deep_net_holds_a_quarter_of_the_activations_or_less() -> None:
    images = torch.randn(2, 3, 16, 16)
    whole, saved = (
        kept(create_model("cifar_resnet20", depth=302, width=4, checkpointing=checkpointing), images)
        for checkpointing in (False, True)
    )
    assert 0 < saved < whole / 4


def test_a_tested_net_keeps_nothing_and_gives_the_same_scores() -> None:
    whole, saved = trained(False).eval(), trained(True).eval()
    images = torch.randn(2, 3, 16, 16)
    assert torch.equal(saved(images), whole(images))
