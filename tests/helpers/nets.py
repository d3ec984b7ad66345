"""Nets and states in which mistakes show."""

import torch
from torch import Tensor, nn

State = dict[str, Tensor]


def uneven(net: nn.Module) -> nn.Module:
    """Batch norms as training leaves them: those of a fresh net would hide a mistake, being all the same."""
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                for value in (module.weight, module.bias, module.running_mean, module.running_var):
                    assert value is not None
                    value.uniform_(0.5, 1.5)
    return net.eval()


def zeros(state: State) -> State:
    return {name: torch.zeros_like(value) for name, value in state.items()}


def prefixed(state: State, prefix: str) -> State:
    return {prefix + name: value for name, value in state.items()}
