"""Several labels per image: which of three shapes are there? Each label is a row of zeros and ones.

cd examples; resnet-lab train -m experiment=tags model.depth=8,14
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from resnet_lab.training import Classifier

SIDE = 16  # pixels


def tagged(number: int) -> tuple[Tensor, Tensor]:
    """Up to three shapes in an image, and which they are."""
    fixed = np.random.default_rng(number)
    y, x = np.abs(np.indices((SIDE, SIDE)) - fixed.integers(4, SIDE - 4, (3, 2, 1, 1))).swapaxes(0, 1)
    shapes = np.stack([x[0] ** 2 + y[0] ** 2 < 10, np.maximum(x[1], y[1]) < 3, np.minimum(x[2], y[2]) < 1])
    there = fixed.random(3) < 0.5
    image = shapes[there].any(0) + fixed.normal(0, 0.2, (SIDE, SIDE))
    return torch.tensor(image, dtype=torch.float32)[None], torch.tensor(there, dtype=torch.float32)


def make(images: int = 600) -> dict[str, list[tuple[Tensor, Tensor]]]:
    test = range(images, images * 5 // 4)
    return {"train": [tagged(i) for i in range(images)], "test": [tagged(i) for i in test]}


class Tags(Classifier):
    def training_loss(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        scores = self(images)
        return F.binary_cross_entropy_with_logits(scores, targets), scores

    def measure(self, scores: Tensor, targets: Tensor) -> dict[str, Tensor]:
        wrong = (scores > 0) != (targets > 0)
        return {"error": 100.0 * wrong.float().mean(1), "exact": 100.0 * ~wrong.any(1)}
