"""Nets as graphs: `torch.compile` without a break, and `torch.export` for any number of images."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from resnet_lab.models import blocks, create_model, list_models
from resnet_lab.models.named import entry
from resnet_lab.models.orders import ORDERS
from resnet_lab.models.plans import FAMILIES, STEM_STRIDES
from resnet_lab.models.shortcuts import SHORTCUTS

SMALL: dict[str, Any] = {"depth": 8, "width": 4}
WIDE = {"family": "imagenet", "depth": 18, "width": 8, "num_classes": 10}
OF_FAMILY: dict[str, dict[str, Any]] = {
    "cifar": SMALL,
    "wide": {"family": "wide", "depth": 10, "width": 4},
    "imagenet": WIDE,
}
OF_BLOCK: dict[str, dict[str, Any]] = {
    "bottleneck": {"depth": 11},
    "se_bottleneck": {"depth": 11},
    "single": {"depth": 5},
}
ADDITIONS: dict[str, dict[str, Any]] = {
    "ResNeXt": {"block": "bottleneck", "depth": 11, "groups": 4, "width_factor": 2.0},
    "ResNet-D's downsampling": {"shortcut": "B", "downsample": "pool"},
    "stochastic depth": {"drop_path": 0.5},
    "dropout in the branch": {"branch_dropout": 0.3},
    "zeros on both sides": {"zero_channels": "split"},
    "activation shared with padded shortcuts": {
        "order": "full_preactivation",
        "shared_preactivation": "first_and_changes",
    },
    "a bare stem": {"order": "full_preactivation", "shared_preactivation": "projections"},
    "no batch norm": {"batch_norm": False},
}
KINDS: dict[str, dict[str, Any]] = {
    **{f"family {name}": OF_FAMILY[name] for name in FAMILIES},
    **{f"block {name}": {**SMALL, "block": name, **OF_BLOCK.get(name, {})} for name in blocks.names()},
    **{f"order {name}": {**SMALL, "order": name} for name in ORDERS},
    **{f"shortcut {name}": {**SMALL, "shortcut": name} for name in SHORTCUTS},
    **{f"stem {name}": {**WIDE, "stem": name} for name in STEM_STRIDES},
    **{name: {**SMALL, **choices} for name, choices in ADDITIONS.items()},
}
# What tracing may trip over; the slow tests compile every kind.
TRACED = [kind for kind in KINDS if kind in ADDITIONS or kind.startswith(("family ", "block "))]
# What exporting may trip over; the slow tests export every net that has a name.
EXPORTED = ("family cifar", "family imagenet", "block se_basic", "ResNeXt", "ResNet-D's downsampling")


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    """Each net is compiled anew: PyTorch gives up on a class after a few of its nets."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize("kind", TRACED)
def test_a_net_of_each_kind_compiles_as_one_graph_and_trains(kind: str) -> None:
    """Traced with fullgraph=True, and the graph run as it is: code generation comes after what could break."""
    assert_trains_compiled(KINDS[kind], backend="eager")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_net_of_each_kind_runs_as_generated_code(kind: str) -> None:
    net, compiled, images = assert_trains_compiled(KINDS[kind], backend="inductor")
    net.eval()
    with torch.no_grad():
        torch.testing.assert_close(compiled(images), net(images), rtol=1e-4, atol=1e-4)


def assert_trains_compiled(choices: dict[str, Any], *, backend: str) -> tuple[nn.Module, Any, Tensor]:
    torch.manual_seed(0)
    net = create_model("cifar_resnet20", **choices)
    images = torch.randn(2, 3, 32, 32)
    compiled = torch.compile(net, fullgraph=True, backend=backend)
    torch.manual_seed(1)
    scores = compiled(images)
    if backend == "eager":  # generated code draws what it drops in an order of its own
        torch.manual_seed(1)
        torch.testing.assert_close(scores, net(images), rtol=1e-4, atol=1e-4)
    scores.logsumexp(1).sum().backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in net.parameters())
    return net, compiled, images


@pytest.mark.parametrize("kind", EXPORTED)
def test_a_net_of_each_kind_exports_for_any_number_of_images(kind: str) -> None:
    assert_exported("cifar_resnet20", 32, KINDS[kind])


@pytest.mark.slow
@pytest.mark.parametrize("name", list_models())
def test_a_named_net_exports_for_any_number_of_images(name: str) -> None:
    assert_exported(name, 32 if entry(name).size == 224 else 8, {})


def assert_exported(name: str, side: int, choices: dict[str, Any]) -> None:
    torch.manual_seed(0)
    net = create_model(name, **choices)
    with torch.no_grad():
        net(torch.randn(2, 3, side, side))  # without statistics, the deepest nets' sums grow beyond float32
    net.eval()
    batch = torch.export.Dim("batch", max=2**16)
    program = torch.export.export(net, (torch.zeros(2, 3, side, side),), dynamic_shapes={"x": {0: batch}})
    images = torch.randn(3, 3, side, side)
    with torch.no_grad():
        expected = net(images)
        close = {"rtol": 1e-4, "atol": 1e-4 * expected.abs().max().item()}
        torch.testing.assert_close(program.module()(images), expected, **close)
