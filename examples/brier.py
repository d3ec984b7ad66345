"""A metric of your own: resnet-lab train 'metrics.brier={_target_: examples.brier.Brier}'"""

import torch
from torch import Tensor
from torchmetrics import Metric


class Brier(Metric):
    """Mean squared distance of the softmax output from the truth (Brier 1950): 0 is certain and right, 2 the worst."""

    def __init__(self) -> None:
        super().__init__()
        self.add_state("distance", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("images", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, probabilities: Tensor, labels: Tensor) -> None:
        """Softmax outputs (N, K) and labels (N,)."""
        truth = torch.nn.functional.one_hot(labels, probabilities.shape[1])
        self.distance += (probabilities - truth).square().sum()
        self.images += len(labels)

    def compute(self) -> Tensor:
        return self.distance / self.images
