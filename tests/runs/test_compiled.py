"""A compiled net: a graph for each shape, made by as many processes as the run has cores."""

import pytest
import torch
import torch._dynamo
from torch import nn
from torch._inductor import config

from resnet_lab.cores import SHARE
from resnet_lab.runs.compiled import compile_in_place


def test_each_shape_has_a_graph_of_its_own_and_the_cores_of_the_run_bound_its_compilers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without `dynamic=False` the second shape makes a graph for any, which the first one then runs too."""
    monkeypatch.setenv(SHARE, "3")
    monkeypatch.setattr(config, "compile_threads", 32)
    shapes: list[tuple[int, ...]] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> object:
        shapes.append(tuple([each for each in inputs if each.ndim == 4][-1].shape))  # after the weight
        return graph.forward

    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
    monkeypatch.setattr(net, "compile", lambda **how: nn.Module.compile(net, backend=backend, **how))
    compile_in_place(net)
    for images in (8, 5, 8):
        net(torch.zeros(images, 1, 6, 6))
    assert shapes == [(8, 1, 6, 6), (5, 1, 6, 6)]
    assert config.compile_threads == 3
    assert set(net.state_dict()) == {"0.weight", "0.bias"}
    torch._dynamo.reset()
