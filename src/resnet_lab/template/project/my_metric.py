"""Your own metric: configs/metrics/mine.yaml names it."""

import torch
from torch import Tensor
from torchmetrics import Metric


class Certainty(Metric):
    """Mean probability that is given to the class an image is of, from 0 to 1."""

    total: Tensor
    images: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("images", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, probabilities: Tensor, labels: Tensor) -> None:
        """Softmax outputs (N, K) and labels (N,)."""
        self.total += probabilities.gather(1, labels[:, None]).sum()
        self.images += len(labels)

    def compute(self) -> Tensor:
        return self.total / self.images
