"""Small images as one uint8 tensor on the training device: split, averaged down, normalised."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from resnet_lab.data.module import DataModule
from resnet_lab.data.order import EvalOrder, TrainOrder, generator, rank_and_world
from resnet_lab.data.preprocessing import Preprocessing, by_channel
from resnet_lab.data.small.choices import info
from resnet_lab.data.small.in_memory import (
    Augmentation,
    InMemoryEvalLoader,
    InMemoryTrainLoader,
    Normalisation,
)
from resnet_lab.data.small.sets import SETS
from resnet_lab.data.spec import DataInfo, InMemoryConfig, SmallImagesConfig
from resnet_lab.data.subsets import SPLIT_SEED, in_proportion

PIECE = 1000  # images at a time, where their float copies would take four or eight times the set's memory

Split = tuple[Tensor, Tensor]  # uint8 images (N, H, W, C) and int64 labels (N,)


@dataclass(frozen=True)
class Parts:
    """Which images of a set are used, on the CPU."""

    splits: dict[str, Split]  # train, test, and val where there are some
    test_images_there: int
    tests_a_share: bool = False


class SmallImages(DataModule):
    """Small images as training, validation and test batches."""

    config: InMemoryConfig

    def __init__(
        self,
        config: InMemoryConfig,
        info: DataInfo,
        read: Callable[[], Parts],
        *,
        batch_size: int,
        drop_last: bool,
        seed: int,
    ) -> None:
        super().__init__()
        self.config, self.info, self._read = config, info, read
        self.batch_size, self.drop_last, self.seed = batch_size, drop_last, seed
        self._splits: dict[str, Split] = {}

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002 (Lightning's signature)
        if self._splits:
            return
        parts = self._read()
        splits = parts.splits
        self.normalise = normalisation(splits["train"][0], self.config).to(self.device)
        self._splits = {
            name: (images.to(self.device), labels.to(self.device))
            for name, (images, labels) in splits.items()
        }
        self.tell_one_class(splits["test"][1])
        self.sizes = {name: len(labels) for name, (_, labels) in splits.items()}
        self.eval_names = tuple(name for name in ("val", "test") if name in splits)
        self.test_images_there, self.tests_a_share = parts.test_images_there, parts.tests_a_share

    def train_dataloader(self) -> InMemoryTrainLoader:
        order = TrainOrder(self.sizes["train"], self.batch_size, self.drop_last, self.seed, *rank_and_world())
        augmentation = Augmentation(self.config.pad, self.config.flip, self.config.cutout)
        return InMemoryTrainLoader(*self._splits["train"], order, self.normalise, augmentation)

    def val_dataloader(self) -> list[InMemoryEvalLoader]:
        return [self._eval_loader(name) for name in self.eval_names]

    def test_dataloader(self) -> InMemoryEvalLoader:
        return self._eval_loader("test")

    def preprocessing(self) -> Preprocessing:
        mean, std = self.normalise.mean.cpu().permute(2, 0, 1), self.normalise.std.cpu()
        if self.config.mean == "channel":
            mean = mean[:, :1, :1]  # one value a channel, spread over the image
        size = self.info.height, self.info.width
        return Preprocessing(self.info.channels, size, None, mean, by_channel(std), self.info.class_names)

    def _eval_loader(self, name: str) -> InMemoryEvalLoader:
        rank, world = rank_and_world()
        # Twice the training batch: no gradients are kept.
        order = EvalOrder(self.sizes[name], max(2 * self.batch_size // world, 1), rank, world)
        return InMemoryEvalLoader(*self._splits[name], order, self.normalise)


def build(config: SmallImagesConfig, *, batch_size: int, drop_last: bool, seed: int) -> SmallImages:
    """The set as training, validation and test batches. Raises UserError as `info` does."""
    facts = info(config)

    def read() -> Parts:
        return Parts(split(config), SETS[config.name].test)

    return SmallImages(config, facts, read, batch_size=batch_size, drop_last=drop_last, seed=seed)


def split(config: SmallImagesConfig) -> dict[str, Split]:
    """The images that train, validate (where some are set aside) and test, on the CPU."""
    (train, train_labels), (test, test_labels) = (
        (averaged_down(images, config.size), torch.from_numpy(labels))
        for images, labels in SETS[config.name].read(config)
    )
    splits = {}
    # he2015 sets 5,000 images aside; that its choice was in proportion to the classes is not said.
    mixed = torch.randperm(len(train), generator=generator(SPLIT_SEED, 0, "validation"))
    aside, rest = mixed[: config.validation].sort().values, mixed[config.validation :].sort().values
    if config.validation:
        splits["val"] = train[aside], train_labels[aside]
    if config.train_images is not None:
        random = generator(SPLIT_SEED, 0, "train images")
        rest = rest[in_proportion(train_labels[rest], config.train_images, random)[0]]
    splits["train"] = train[rest], train_labels[rest]
    if config.test_images is not None:
        few, _ = in_proportion(test_labels, config.test_images, generator(SPLIT_SEED, 0, "test images"))
        test, test_labels = test[few], test_labels[few]
    return {**splits, "test": (test, test_labels)}


def averaged_down(images: NDArray[np.uint8], size: int | None) -> Tensor:
    """Images (N, H, W, C) with a side of `size` pixels, each the mean of the area that it covers."""
    pixels = torch.from_numpy(np.ascontiguousarray(images))
    if size is None or size == pixels.shape[1]:
        return pixels
    pieces = (piece.permute(0, 3, 1, 2).float() for piece in pixels.split(PIECE))
    smaller = (interpolate(piece, (size, size), mode="area").round_().to(torch.uint8) for piece in pieces)
    return torch.cat(list(smaller)).permute(0, 2, 3, 1).contiguous()


def normalisation(images: Tensor, config: InMemoryConfig) -> Normalisation:
    """Mean, and standard deviation where asked, over the training images uint8 (N, H, W, C)."""
    count, height, width, channels = images.shape
    total = torch.zeros(height, width, channels, dtype=torch.float64)
    squares = torch.zeros(channels, dtype=torch.float64)
    for piece in images.split(PIECE):
        values = piece.double().div_(255)
        total += values.sum(0)
        squares += values.square_().sum((0, 1, 2))
    mean = total / count
    # One deviation a channel in either case: a pixel that is always black would divide by nothing.
    channel_mean = mean.mean((0, 1))
    std = (squares / (count * height * width) - channel_mean.square()).sqrt()
    if config.mean == "channel":
        mean = channel_mean.expand(height, width, channels)
    return Normalisation(mean.float(), std.float() if config.divide_by_std else torch.ones(channels))
