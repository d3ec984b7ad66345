"""Watches a test: what the net answers to each image, and the images of its surest mistakes."""

from collections.abc import Sequence

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from resnet_lab.training.answers import Answer, Answers
from resnet_lab.training.sums import world_size
from resnet_lab.training.surest_mistakes import MOST, Pixels

SIDE = 112  # pixels of the images that are kept, at most


class Answering:
    """Notes image by image what `Sums` counts.

    `mean` and `std`, (C, 1, 1) or (C, H, W), make pixels of 0 to 1 of the images again.
    """

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        self._mean, self._std = mean, std
        self._answered: list[Tensor] = []  # (3, N) float64: label, prediction, probability
        self._images = torch.empty(0)
        self._sure = torch.empty(0, dtype=torch.float64)  # of each of these images; below 0: it was right
        self._indices = torch.empty(0, dtype=torch.int64)
        self._seen = 0

    def add(self, images: Tensor | list[Tensor], probabilities: Tensor, labels: Tensor) -> None:
        """One batch: images (N, C, H, W), or N times (C, H, W), mean softmax outputs (N, K) and labels (N,)."""
        prediction = probabilities.argmax(1)
        sure = probabilities.gather(1, prediction[:, None])[:, 0].nan_to_num(0.0)
        self._answered.append(torch.stack([each.cpu().double() for each in (labels, prediction, sure)]))
        sure = torch.where(prediction == labels, -1.0, sure)
        order = sure.argsort(descending=True, stable=True)[:MOST]
        indices = self._seen + order.cpu()
        self._seen += len(labels)
        self._keep(self._visible(images, order), sure[order].cpu().double(), indices)

    def answers(
        self, tested: Sequence[tuple[int, str]], classes: Sequence[str], names: dict[int, str]
    ) -> tuple[Answers, Pixels]:
        """Gather the answers of all ranks; each calls this with place and name of the images it `tested`.

        `names` are those of the net's outputs, `classes` the data's in their order. With the answers the images of
        the surest mistakes, as many as `MOST`, in the order of `Answers.mistakes`.
        """
        rows_told = torch.cat(self._answered, 1)
        if len(tested) != rows_told.shape[1]:  # a user's loader, which does not say what it gave
            tested = [(index, str(index)) for index in range(rows_told.shape[1])]
        wrong = self._sure >= 0
        kept = [
            (float(sure), tested[int(index)][0])
            for sure, index in zip(self._sure[wrong], self._indices[wrong], strict=True)
        ]
        ours = tested, rows_told, kept, self._images[wrong]
        every = [ours]
        if world_size() > 1:
            every = [ours] * world_size()
            dist.all_gather_object(every, ours)
        rows = sorted(
            (index, name, int(label), int(prediction), probability)
            for tested, rows_told, _, _ in every
            for (index, name), (label, prediction, probability) in zip(
                tested, rows_told.T.tolist(), strict=True
            )
        )
        shown = [
            (key, image) for _, _, kept, images in every for key, image in zip(kept, images, strict=True)
        ]
        shown = sorted(shown, key=lambda each: (-each[0][0], each[0][1]))[:MOST]
        given = tuple(
            Answer(image, names.get(label, str(label)), names.get(prediction, str(prediction)), probability)
            for _, image, label, prediction, probability in rows
        )
        pixels = torch.stack([image for _, image in shown]) if shown else torch.empty(0, 1, 1, 3)
        return Answers(given, tuple(classes)), pixels.to(torch.uint8).numpy()

    def _keep(self, images: Tensor, sure: Tensor, indices: Tensor) -> None:
        sure = torch.cat([self._sure, sure])
        order = sure.argsort(descending=True, stable=True)[:MOST]  # stable: the earlier image first
        self._images = torch.cat([self._images, images])[order] if len(self._images) else images
        self._sure, self._indices = sure[order], torch.cat([self._indices, indices])[order]

    def _visible(self, images: Tensor | list[Tensor], chosen: Tensor) -> Tensor:
        """Return the chosen images (N, S, S, 3) uint8, whole squares out of their middle, on the CPU."""
        if isinstance(images, Tensor):
            squares = _square(self._pixels(images[chosen.to(images.device)]))
        else:
            squares = torch.cat(
                [_square(self._pixels(images[index][None]), SIDE) for index in chosen.tolist()]
            )
        if squares.shape[1] != 3:
            squares = squares.mean(1, keepdim=True).expand(-1, 3, -1, -1)
        return squares.permute(0, 2, 3, 1).mul(255).round().to("cpu", torch.uint8)

    def _pixels(self, images: Tensor) -> Tensor:
        mean, std = self._mean.to(images.device), self._std.to(images.device)
        return (images.float() * std + mean).clamp(0, 1)


def _square(images: Tensor, side: int | None = None) -> Tensor:
    """Return the middle of images (N, C, H, W) at `side` pixels; without it as large as it is, but SIDE at most."""
    height, width = images.shape[-2:]
    least = min(height, width)
    top, left = (height - least) // 2, (width - least) // 2
    middle = images[..., top : top + least, left : left + least]
    side = side or min(least, SIDE)
    return middle if side == least else F.interpolate(middle, (side, side), mode="area")
