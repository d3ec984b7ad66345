"""Small images in memory: a set is one uint8 tensor on the device, a batch is one gather from it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from resnet_lab.data.datamodule import Images
from resnet_lab.data.order import Batch, Reader, Transform, generator
from resnet_lab.data.preprocessing import Preprocessing, by_channel
from resnet_lab.data.spec import DataConfig, DataInfo, InMemoryConfig

PIECE = 1000  # images at a time, where their float copies would take four or eight times the set's memory

Part = tuple[Tensor, Tensor]  # uint8 images (N, H, W, C) and int64 labels (N,)


class InMemory(Images):
    """The parts of a set, each in memory."""

    eval_batches = 2

    def __init__(
        self, config: InMemoryConfig, info: DataInfo, parts: dict[str, Part], *, published: bool = False
    ) -> None:
        self.config, self.info, self.parts, self.published = config, info, parts, published
        self.labels = {part: labels for part, (_, labels) in parts.items()}
        self.counts = {part: len(labels) for part, labels in self.labels.items()}

    def choose(self, config: DataConfig) -> None:
        super().choose(config)
        used = {}
        for name, (part, indices) in self.chosen.items():
            images, labels = self.parts[part]
            used[name] = _taken(images, indices), _taken(labels, indices)
        self.parts = {}
        self.normalise = normalisation(used["train"][0], self.config).to(self.device)
        self.used = {
            name: (images.to(self.device), labels.to(self.device)) for name, (images, labels) in used.items()
        }

    def train_reader(self, seed: int) -> Reader:
        augmentation = Augmentation(self.config.pad, self.config.flip, self.config.cutout)
        transform = Transform(self.config.transform, seed) if self.config.transform else None
        return CropReader(*self.used["train"], self.normalise, augmentation, seed, transform)

    def eval_reader(self, name: str) -> Reader:
        return WholeReader(*self.used[name], self.normalise)

    def preprocessing(self) -> Preprocessing:
        mean, std = self.normalise.mean.cpu().permute(2, 0, 1), self.normalise.std.cpu()
        if self.config.mean != "pixel":
            mean = mean[:, :1, :1]  # one value a channel, spread over the image
        size = self.info.height, self.info.width
        return Preprocessing(self.info.channels, size, None, mean, by_channel(std), self.info.class_names)


def _taken(values: Tensor, chosen: Tensor) -> Tensor:
    """Return the chosen values; all of them stay memory-mapped."""
    return values if torch.equal(chosen, torch.arange(len(values))) else values[chosen]


@dataclass(frozen=True)
class Augmentation:
    """What is drawn for each image in each epoch, in pixels."""

    pad: int = 0
    flip: bool = False
    cutout: int = 0  # side of the square that is blanked

    @property
    def offsets(self) -> int:
        """The number of places of a crop along each axis: nine for a padding of 4."""
        return 2 * self.pad + 1

    def draw(self, images: int, height: int, width: int, *, seed: int, epoch: int) -> Tensor:
        """Return an epoch's choices, int16 (images, 5): top, left, mirrored, and row and column of the hole."""
        random = generator(seed, epoch, "augmentation")
        ends = (self.offsets, self.offsets, 2 if self.flip else 1, height, width)
        drawn = [torch.randint(end, (images,), generator=random, dtype=torch.int16) for end in ends]
        return torch.stack(drawn, dim=1)


class Normalisation:
    """(x / 255 - mean) / std as x * scale + shift; mean (H, W, C) and std (C,) of values from 0 to 1."""

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        self.mean, self.std = mean, std
        self.scale = (1 / (255 * std)).repeat(
            *mean.shape[:2], 1
        )  # repeated: a last axis of 3 broadcasts slowly
        self.shift = -mean / std

    def to(self, device: torch.device) -> "Normalisation":
        return Normalisation(self.mean.to(device), self.std.to(device))

    def __call__(self, pixels: Tensor) -> Tensor:
        """Turn uint8 (N, H, W, C) into float32 (N, C, H, W), channels-last."""
        return torch.addcmul(self.shift, pixels.float(), self.scale).permute(0, 3, 1, 2)


class Padded:
    """Images (N, H, W, C) with zeros around each, laid out so that any crop is one gather of whole rows.

    Rows follow one another in memory with `pad` zeros between them, which are the right margin of one and the left
    margin of the next; so do images, with `pad` rows of zeros. With `sides` [False, True] the mirrored images come
    after the others.
    """

    def __init__(self, images: Tensor, pad: int, sides: Sequence[bool]) -> None:
        count, height, width, channels = images.shape
        self.shape = height, width, channels
        self.row = width + pad  # pixels from one row to the next, and from one image to the next
        self.image = (height + pad) * self.row
        lead = pad * self.row + pad  # the margins before the first pixel
        memory = images.new_zeros((lead + len(sides) * count * self.image) * channels)
        strides = self.image * channels, self.row * channels, channels, 1
        for number, mirrored in enumerate(sides):
            first = (lead + number * count * self.image) * channels
            view = memory.as_strided(images.shape, strides, first)
            for column in range(width):  # flip() would make a copy of the set, and slowly
                view[:, :, column] = images[:, :, -1 - column if mirrored else column]
        # Every run of W pixels, wherever it starts; that they overlap costs nothing.
        starts = memory.numel() // channels - width + 1
        self.runs = memory.as_strided((starts, width * channels), (channels, 1))
        self.rows = torch.arange(height, device=images.device) * self.row

    def crops(self, index: Tensor, top: Tensor, left: Tensor) -> Tensor:
        """Return crops (B, H, W, C) of the padded images of `index`, at offsets of 0 to twice the padding."""
        first = index * self.image + top * self.row + left
        rows = first[:, None] + self.rows
        return self.runs.index_select(0, rows.flatten()).view(len(index), *self.shape)


class RandomCrops:
    """Crops of the normalised, zero-padded and perhaps mirrored images (he2015 Section 4.2).

    `images` is uint8 (N, H, W, C). Padding is zero after normalisation, as in the authors' code, so each crop is
    shifted by its own window of the mean image, which is zero in the margins.
    """

    def __init__(self, images: Tensor, normalise: Normalisation, augmentation: Augmentation) -> None:
        self.augmentation, self.scale = augmentation, normalise.scale
        self.count, self.height, self.width, _ = images.shape
        self.rows = torch.arange(self.height, device=images.device)
        self.columns = torch.arange(self.width, device=images.device)
        sides = [False, True] if augmentation.flip else [False]
        # Mirrored once and kept: twice the set's memory, and a batch is copies of whole rows.
        self.images = Padded(images, augmentation.pad, sides)
        shift = Padded(normalise.shift[None], augmentation.pad, sides)
        every = torch.arange(augmentation.offsets, device=images.device)
        side, top, left = torch.cartesian_prod(self.columns[: len(sides)], every, every).unbind(1)
        self.shifts = shift.crops(side, top, left)
        self._pixels = images.new_empty(0, dtype=torch.float32)  # of the last batch, as numbers

    def __call__(self, index: Tensor, drawn: Tensor) -> Tensor:
        """Return the images of `index` (B,) as `drawn` (B, 5) has them: float32 (B, C, H, W), channels-last."""
        top, left, mirrored, *hole = drawn.long().unbind(1)
        offsets = self.augmentation.offsets
        left = left + mirrored * (offsets - 1 - 2 * left)  # the same place of a mirrored image
        crops = self.images.crops(mirrored * self.count + index, top, left)
        batch = self.shifts.index_select(0, (mirrored * offsets + top) * offsets + left)
        # Fresh memory costs a CPU more than the arithmetic does: the numbers keep theirs.
        self._pixels = self._pixels.resize_(crops.shape).copy_(crops)
        batch.addcmul_(self._pixels, self.scale)
        if self.augmentation.cutout:
            batch.masked_fill_(self._hole(*hole)[..., None], 0)
        return batch.permute(0, 3, 1, 2)

    def _hole(self, row: Tensor, column: Tensor) -> Tensor:
        """Return True within the square around each centre, cut off at the edges: (B, H, W). Cutout, 1708.04552."""
        side = self.augmentation.cutout
        down = self.rows - (row - side // 2)[:, None]
        right = self.columns - (column - side // 2)[:, None]
        inside = (down >= 0) & (down < side), (right >= 0) & (right < side)
        return inside[0][:, :, None] & inside[1][:, None, :]


class CropReader(Reader):
    """Augmented, normalised batches, made on the device that holds the images: uint8 (N, H, W, C)."""

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        normalise: Normalisation,
        augmentation: Augmentation,
        seed: int,
        transform: Transform | None = None,
    ) -> None:
        self.images, self.normalise, self.transform = images, normalise, transform
        self.crops = RandomCrops(images[:1] if transform else images, normalise, augmentation)
        self.labels, self.seed, self.index_device = labels, seed, labels.device

    def batches(self, epoch: int, indices: Iterator[Tensor]) -> Iterator[Batch]:
        crops, choices = self.crops, self.crops.augmentation
        drawn = choices.draw(*self.images.shape[:3], seed=self.seed, epoch=epoch).to(self.index_device)
        for index in indices:
            if self.transform is None:
                yield crops(index, drawn[index]), self.labels[index]
                continue
            pixels = self.transform(self.images[index].permute(0, 3, 1, 2), epoch, index.tolist())
            fresh = RandomCrops(pixels.permute(0, 2, 3, 1), self.normalise, choices)
            yield fresh(torch.arange(len(index), device=index.device), drawn[index]), self.labels[index]


class WholeReader(Reader):
    """The images as they are, normalised."""

    def __init__(self, images: Tensor, labels: Tensor, normalise: Normalisation) -> None:
        self.images, self.labels, self.normalise, self.index_device = images, labels, normalise, images.device

    def batches(self, epoch: int, indices: Iterator[Tensor]) -> Iterator[Batch]:  # noqa: ARG002
        for index in indices:
            yield self.normalise(self.images.index_select(0, index)), self.labels[index]


def averaged_down(images: NDArray[np.uint8], size: int | None) -> Tensor:
    """Return images (N, H, W, C) with a side of `size` pixels, each the mean of the area that it covers."""
    pixels = torch.from_numpy(np.ascontiguousarray(images))
    if size is None or size == pixels.shape[1]:
        return pixels
    pieces = (piece.permute(0, 3, 1, 2).float() for piece in pixels.split(PIECE))
    smaller = (interpolate(piece, (size, size), mode="area").round_().to(torch.uint8) for piece in pieces)
    return torch.cat(list(smaller)).permute(0, 2, 3, 1).contiguous()


def normalisation(images: Tensor, config: InMemoryConfig) -> Normalisation:
    """Measure the mean, and the standard deviation where asked, of training images uint8 (N, H, W, C)."""
    count, height, width, channels = images.shape
    total = torch.zeros(height, width, channels, dtype=torch.float64)
    squares = torch.zeros(channels, dtype=torch.float64)
    for piece in images.split(PIECE):
        values = piece.double().div_(255)
        total += values.sum(0)
        squares += values.square_().sum((0, 1, 2))
    mean = total / count
    # One deviation per channel in either case: a pixel that is always black would be divided by 0.
    channel_mean = mean.mean((0, 1))
    std = torch.ones(channels, dtype=torch.float64)
    if config.divide_by_std or config.mean == "auto":
        std = (squares / (count * height * width) - channel_mean.square()).sqrt()
    if config.mean != "pixel":
        mean = channel_mean.expand(height, width, channels)
    return Normalisation(mean.float(), std.float())
