"""Small images in memory: the whole set is one uint8 tensor on the device, a batch is one gather from it."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from resnet_lab.data.order import Batch, EvalOrder, TrainLoader, TrainOrder, generator


@dataclass(frozen=True)
class Augmentation:
    """What is drawn anew for each image in each epoch, in pixels."""

    pad: int = 0
    flip: bool = False
    cutout: int = 0  # side of the square that is blanked

    @property
    def offsets(self) -> int:
        """Places of a crop along each axis: nine for a padding of 4."""
        return 2 * self.pad + 1

    def draw(self, images: int, height: int, width: int, *, seed: int, epoch: int) -> Tensor:
        """An epoch's choices, int16 (images, 5): top, left, mirrored, and row and column of the hole."""
        random = generator(seed, epoch, "augmentation")
        ends = (self.offsets, self.offsets, 2 if self.flip else 1, height, width)
        return torch.stack(
            [torch.randint(end, (images,), generator=random, dtype=torch.int16) for end in ends], dim=1
        )


class Normalisation:
    """(x / 255 - mean) / std as x * scale + shift; mean (H, W, C) and std (C,) of values from 0 to 1."""

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        self.mean, self.std = mean, std
        self.scale = (1 / (255 * std)).repeat(*mean.shape[:2], 1)  # whole: a last axis of 3 broadcasts slowly
        self.shift = -mean / std

    def to(self, device: torch.device) -> "Normalisation":
        return Normalisation(self.mean.to(device), self.std.to(device))

    def __call__(self, pixels: Tensor) -> Tensor:
        """uint8 (N, H, W, C) to float32 (N, C, H, W), channels-last."""
        return torch.addcmul(self.shift, pixels.float(), self.scale).permute(0, 3, 1, 2)


class RandomCrops:
    """Crops of the normalised, zero-padded and perhaps mirrored images (he2015 Section 4.2).

    `images` is uint8 (N, H, W, C). Padding is zero after normalisation, as in the authors' code, so each crop is
    shifted by its own window of the mean image, which is zero in the margins.
    """

    def __init__(self, images: Tensor, normalise: Normalisation, augmentation: Augmentation) -> None:
        self.images, self.augmentation = images, augmentation
        self.height, self.width = images.shape[1:3]
        self.rows = torch.arange(self.height, device=images.device, dtype=torch.int32)
        columns = torch.arange(self.width, device=images.device, dtype=torch.int32)
        self.columns = torch.stack([columns, columns.flip(0)])  # as they are, and mirrored
        self.scale = normalise.scale
        offsets = torch.arange(augmentation.offsets, device=images.device, dtype=torch.int32)
        sides = torch.arange(2 if augmentation.flip else 1, device=images.device, dtype=torch.int32)
        mirrored, top, left = torch.cartesian_prod(sides, offsets, offsets).unbind(1)
        self.shifts = self._crop(normalise.shift.expand(len(top), -1, -1, -1), top, left, mirrored)

    def __call__(self, index: Tensor, drawn: Tensor) -> Tensor:
        """The images of `index` (B,) as `drawn` (B, 5) says: float32 (B, C, H, W), channels-last."""
        top, left, mirrored, *hole = drawn.int().unbind(1)
        pixels = self._crop(self.images.index_select(0, index), top, left, mirrored)
        batch = self.shifts.index_select(0, self._window(top, left, mirrored))
        batch.addcmul_(pixels, self.scale)
        if self.augmentation.cutout:
            batch.masked_fill_(self._hole(*hole)[..., None], 0)
        return batch.permute(0, 3, 1, 2)

    def _window(self, top: Tensor, left: Tensor, mirrored: Tensor) -> Tensor:
        """The place of a crop in `self.shifts`."""
        return (mirrored * self.augmentation.offsets + top) * self.augmentation.offsets + left

    def _crop(self, images: Tensor, top: Tensor, left: Tensor, mirrored: Tensor) -> Tensor:
        """Each image (B, H, W, C) padded, cropped at its own offset and mirrored or not, by one gather."""
        margin = self.augmentation.pad
        padded = pad(images, (0, 0, margin, margin, margin, margin))
        count, padded_height, padded_width, channels = padded.shape
        first = torch.arange(count, device=images.device, dtype=torch.int32) * padded_height + top
        rows = (first[:, None] + self.rows) * padded_width
        columns = left[:, None] + self.columns.index_select(0, mirrored)
        places = rows[:, :, None] + columns[:, None, :]
        return padded.view(-1, channels).index_select(0, places.flatten()).view(images.shape)

    def _hole(self, row: Tensor, column: Tensor) -> Tensor:
        """True within the square around each centre, cut off at the edges: (B, H, W). Cutout, 1708.04552."""
        side = self.augmentation.cutout
        down = self.rows - (row - side // 2)[:, None]
        right = self.columns[0] - (column - side // 2)[:, None]
        inside = (down >= 0) & (down < side), (right >= 0) & (right < side)
        return inside[0][:, :, None] & inside[1][:, None, :]


class InMemoryTrainLoader(TrainLoader):
    """Augmented, normalised batches, made on the device that holds the images: uint8 (N, H, W, C)."""

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        order: TrainOrder,
        normalise: Normalisation,
        augmentation: Augmentation,
    ) -> None:
        super().__init__(order)
        self.crops = RandomCrops(images, normalise, augmentation)
        self.labels = labels

    def load(self, epoch: int, indices: Iterator[Tensor]) -> Iterator[Batch]:
        crops, device = self.crops, self.labels.device
        drawn = crops.augmentation.draw(
            self.order.images, crops.height, crops.width, seed=self.order.seed, epoch=epoch
        ).to(device)
        for index in indices:
            index = index.to(device)
            yield crops(index, drawn[index]), self.labels[index]


class InMemoryEvalLoader:
    """The images as they are, normalised, in order."""

    def __init__(self, images: Tensor, labels: Tensor, order: EvalOrder, normalise: Normalisation) -> None:
        self.images, self.labels = images, labels
        self.order = order
        self.normalise = normalise

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[Batch]:
        for index in self.order.batches():
            index = index.to(self.images.device)
            yield self.normalise(self.images.index_select(0, index)), self.labels[index]
