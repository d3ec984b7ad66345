"""Distillation (1503.02531): a small network learns what a trained one answers. A loss that is given the images.

cd examples; resnet-lab train name=teacher model.depth=20
resnet-lab train -m experiment=distillation recipe.loss_args.teacher=runs/teacher/RUN recipe.loss_args.weight=0,0.7
"""

import torch.nn.functional as F
from torch import Tensor, nn

from resnet_lab import load


class Distillation(nn.Module):
    """Cross entropy with the labels, and with the teacher's answers at a temperature; the teacher stays as it is."""

    def __init__(self, teacher: str, weight: float = 0.7, temperature: float = 4.0) -> None:
        super().__init__()
        self.teacher = load(teacher).model().requires_grad_(False)
        self.weight, self.temperature = weight, temperature

    def forward(self, scores: Tensor, labels: Tensor, images: Tensor) -> Tensor:
        soft = (self.teacher(images) / self.temperature).softmax(1)
        taught = F.cross_entropy(scores / self.temperature, soft) * self.temperature**2
        return self.weight * taught + (1 - self.weight) * F.cross_entropy(scores, labels)
