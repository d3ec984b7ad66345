"""What a built net has and costs, counted from one forward pass over its layers."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from resnet_lab.models.counts import Counts, Layer

WEIGHTED = (nn.Conv2d, nn.Linear)


def layers(model: nn.Module, input_shape: tuple[int, int, int]) -> list[Layer]:
    """Return the layers that one image of shape (C, H, W) passes; the model may be on the meta device."""
    found: list[Layer] = []
    names = {module: name for name, module in model.named_modules()}

    def record(module: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        own = list(module.parameters(recurse=False))
        # Each value that a convolution or a fully connected layer puts out costs one pass over its filter.
        cost = output[0].numel() * module.weight[0].numel() if isinstance(module, WEIGHTED) else 0
        size = sum(parameter.numel() for parameter in own)
        found.append(Layer(names[module], type(module).__name__, tuple(output.shape[1:]), size, cost))

    leaves = [
        module
        for module in names
        if not list(module.children()) and not isinstance(module, nn.Identity | nn.ReLU)
    ]
    handles = [leaf.register_forward_hook(record) for leaf in leaves]
    training = {module: module.training for module in names}
    first = next(model.parameters())
    try:
        model.eval()
        with torch.no_grad(), _ShapesOnly():
            model(torch.zeros(1, *input_shape, device=first.device, dtype=first.dtype))
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in training.items():
            module.training = mode
    return found


class _ShapesOnly(TorchFunctionMode):
    """Passes by what changes no shape and costs no multiply-add: most of the time on the meta device."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return args[0] if func in (F.batch_norm, F.relu, torch.relu) else func(*args, **(kwargs or {}))


def count(model: nn.Module, input_shape: tuple[int, int, int]) -> Counts:
    """Parameters, multiply-adds and weighted layers for one image of shape (C, H, W)."""
    found = layers(model, input_shape)
    return Counts(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        multiply_adds=sum(layer.multiply_adds for layer in found),
        layers=sum(isinstance(module, WEIGHTED) for module in model.modules()),
    )
