"""A loss and the user's schedule: configs/recipe/mine.yaml names them."""

import torch
from torch import Tensor
from torch.nn import functional as F


def focal(scores: Tensor, targets: Tensor, gamma: float = 2.0) -> Tensor:
    """Cross-entropy that counts easy images less: scores (N, K) and labels (N,) to one loss for each image (N,)."""
    loss = F.cross_entropy(scores, targets, reduction="none")
    return (1 - torch.exp(-loss)) ** gamma * loss


def linear_decay(iteration: int, total: int) -> float:
    """The factor of the learning rate, from 1 down to 0."""
    return 1 - iteration / total
