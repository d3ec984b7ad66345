"""What rescales a branch before the addition."""

import torch
from torch import Tensor, nn
from torch.nn.functional import relu


class SqueezeExcitation(nn.Module):
    """x scaled, channel by channel, by sigmoid(W2 relu(W1 mean(x))): 1709.01507 Section 3."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean((2, 3))
        return x * torch.sigmoid(self.fc2(relu(self.fc1(means))))[:, :, None, None]
