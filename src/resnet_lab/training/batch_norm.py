"""Batch normalisation's running statistics: left alone for a pass, or computed anew after training."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import update_bn

from resnet_lab.training.sums import world_size


@contextmanager
def frozen_statistics(model: nn.Module, *, when: bool) -> Iterator[None]:
    """Batches seen inside leave no trace in the running statistics, if `when`."""
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm)] if when else []
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum


def recompute(model: nn.Module, loader: Iterable[tuple[Tensor, Tensor]], device: torch.device) -> None:
    """Replace running statistics by their plain average over the loader's training images.

    he2015's ImageNet nets are tested so (authors' repository), not with the moving average of training.
    """
    update_bn(loader, model, device)
    if world_size() > 1:
        for layer in model.modules():
            if isinstance(layer, _BatchNorm):
                for statistic in (layer.running_mean, layer.running_var):
                    if statistic is not None:
                        dist.all_reduce(statistic)
                        statistic /= world_size()
