"""Regression: at which angle does a bar lie? Labels are numbers, and the figure is the error in degrees.

cd examples; resnet-lab train -m experiment=angle model.depth=8,14
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from resnet_lab.training import Classifier

SIDE = 16  # pixels


def bar(number: int) -> tuple[Tensor, Tensor]:
    """A bar in noise, and the cosine and sine of twice its angle, for which half a turn changes nothing."""
    fixed = np.random.default_rng(number)
    angle, (y, x) = fixed.uniform(0, np.pi), np.indices((SIDE, SIDE)) - (SIDE - 1) / 2
    lit = np.abs(y * np.cos(angle) - x * np.sin(angle)) < 1.5
    image = torch.tensor(lit + fixed.normal(0, 0.2, lit.shape), dtype=torch.float32)
    return image[None], torch.tensor([np.cos(2 * angle), np.sin(2 * angle)])


def make(images: int = 600) -> dict[str, list[tuple[Tensor, Tensor]]]:
    return {
        "train": [bar(i) for i in range(images)],
        "test": [bar(i) for i in range(images, images * 5 // 4)],
    }


class Angle(Classifier):
    def training_loss(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        found = self(images)
        return F.mse_loss(found, targets), found

    def measure(self, found: Tensor, targets: Tensor) -> dict[str, Tensor]:
        apart = F.cosine_similarity(found, targets).clamp(-1, 1).acos()
        return {"degrees": apart.rad2deg() / 2}
