"""Segmentation: which pixels are of which shape? Your own network gives scores for each pixel.

cd examples; resnet-lab train -m experiment=segmentation model.args.width=8,16
"""

import torch
import torch.nn.functional as F
from shapes import Shapes
from torch import Tensor, nn

from resnet_lab.training import Classifier


class Outlined(Shapes):
    classes = ("background", *Shapes.classes)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        image, label = super().__getitem__(index)
        pixels = torch.from_numpy(image.copy())[None]
        return pixels, (pixels[0] > 120) * (label + 1)  # for each pixel its class


def make(images: int = 300, noise: float = 20) -> dict[str, Outlined]:
    return {"train": Outlined(images, noise), "test": Outlined(images // 4, noise, first=images)}


def net(classes: int, channels: int, width: int = 16) -> nn.Module:
    first, second = (nn.Conv2d(planes, width, 5, padding=2) for planes in (channels, width))
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.Conv2d(width, classes, 1))


class Segmenter(Classifier):
    def training_loss(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        scores = self(images)
        return F.cross_entropy(scores, targets), scores

    def measure(self, scores: Tensor, targets: Tensor) -> dict[str, Tensor]:
        found, there = (F.one_hot(each, 4).bool() for each in (scores.argmax(1), targets))
        both, either = (found & there).sum((1, 2)), (found | there).sum((1, 2))
        return {"iou": (both / either.clamp_min(1)).sum(1) / (either > 0).sum(1)}
