"""Your own images, drawn and not read: as data sets, and the same as a LightningDataModule.

cd examples; resnet-lab train -m data=shapes,shapes_module data.args.noise=20,60
"""

import random

import numpy as np
import torch
from lightning import LightningDataModule
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

SIDE = 16  # pixels
Pair = tuple[NDArray[np.uint8], int]


class Shapes(Dataset[Pair]):
    """Grey discs, squares and crosses somewhere in a noisy image; in training each is mirrored at random."""

    classes = ("disc", "square", "cross")

    def __init__(self, images: int, noise: float, *, first: int = 0, augment: bool = False) -> None:
        self.images, self.noise, self.first, self.augment = images, noise, first, augment

    def __len__(self) -> int:
        return self.images

    def __getitem__(self, index: int) -> Pair:
        fixed, label = np.random.default_rng(self.first + index), index % 3  # what is shown never changes
        y, x = np.abs(np.indices((SIDE, SIDE)) - fixed.integers(5, SIDE - 5, (2, 1, 1)))
        longer, shorter, radius = np.maximum(x, y), np.minimum(x, y), fixed.integers(3, 6)
        inside = (x**2 + y**2 <= radius**2, longer <= radius, (longer <= radius) & (shorter < 2))
        image = fixed.normal(60, self.noise, (SIDE, SIDE)) + 120 * inside[label]
        if self.augment and random.random() < 0.5:  # the global generator, set anew for each image
            image = image[:, ::-1]
        return image.clip(0, 255).astype(np.uint8), label


def make(images: int = 600, noise: float = 20) -> dict[str, Shapes]:
    """What `data._target_` names: data sets of (image, label); "val" may be among them."""
    return {
        "train": Shapes(images, noise, augment=True),
        "test": Shapes(images // 4, noise, first=images),
    }


class ShapesModule(LightningDataModule):
    """The same, with loaders of its own; it is given the recipe's `batch_size`."""

    def __init__(self, batch_size: int, images: int = 600, noise: float = 20) -> None:
        super().__init__()
        self.batch_size, self.sets = batch_size, make(images, noise)

    def train_dataloader(self) -> DataLoader[Pair]:
        return DataLoader(self.sets["train"], self.batch_size, shuffle=True, collate_fn=together)

    def test_dataloader(self) -> DataLoader[Pair]:
        return DataLoader(self.sets["test"], self.batch_size, collate_fn=together)


def together(pairs: list[Pair]) -> tuple[Tensor, Tensor]:
    """Images (N, 1, H, W) from -1 to 1, and labels (N,)."""
    images, labels = zip(*pairs, strict=True)
    return torch.from_numpy(np.stack(images))[:, None] / 127.5 - 1, torch.tensor(labels)
