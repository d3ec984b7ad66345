"""Adversarial training by the fast gradient sign (1412.6572): a step of your own, in a subclass of Classifier.

cd examples; resnet-lab train -m experiment=adversarial module.args.epsilon=0,0.1
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from resnet_lab.training import Classifier


class FastGradientSign(Classifier):
    """Half of the loss is that of images moved by `epsilon` to where the loss rises fastest."""

    def __init__(self, *given: Any, epsilon: float = 0.1, **more: Any) -> None:
        super().__init__(*given, **more)
        self.epsilon = epsilon

    def training_loss(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        scores = self(images)  # the first pass counts in the statistics of batch norm, the others do not
        worse = self(self.attacked(images, targets))
        return (F.cross_entropy(scores, targets) + F.cross_entropy(worse, targets)) / 2, scores

    def attacked(self, images: Tensor, targets: Tensor) -> Tensor:
        images = images.clone().requires_grad_()
        (slope,) = torch.autograd.grad(F.cross_entropy(self(images), targets), images)
        return images.detach() + self.epsilon * slope.sign()
