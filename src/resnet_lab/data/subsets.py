"""Choosing some images of a labelled set."""

import torch
from torch import Tensor


def in_proportion(labels: Tensor, count: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Indices of `count` images, drawn so that each class keeps its share, and of the others; both sorted."""
    mixed = torch.randperm(len(labels), generator=random)
    mixed = mixed[labels[mixed].argsort(stable=True)]  # by class, at random within it
    sizes = labels.bincount()
    place = (
        torch.arange(len(labels)) - (sizes.cumsum(0) - sizes)[labels[mixed]]
    )  # of an image within its class
    chosen = ((place + 0.5) / sizes[labels[mixed]]).argsort(stable=True)
    return mixed[chosen[:count]].sort().values, mixed[chosen[count:]].sort().values
