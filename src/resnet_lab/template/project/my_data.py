"""Your own images: configs/data/mine.yaml names `make`. These are drawn; yours may be read from any file."""

import random

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

Pair = tuple[NDArray[np.uint8], int]


class Shapes(Dataset[Pair]):
    """Discs, squares and crosses in noise: uint8 (16, 16), and 0, 1 or 2. In training each is mirrored at random."""

    classes = ("disc", "square", "cross")

    def __init__(self, images: range, noise: float, *, augment: bool = False) -> None:
        self.images, self.noise, self.augment = images, noise, augment

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Pair:
        # What an image shows never changes.
        fixed, label = np.random.default_rng(self.images[index]), index % 3
        y, x = np.abs(np.indices((16, 16)) - fixed.integers(5, 11, (2, 1, 1)))
        side, radius = np.maximum(x, y), fixed.integers(3, 6)
        inside = (x**2 + y**2 <= radius**2, side <= radius, (side <= radius) & (np.minimum(x, y) < 2))
        image = fixed.normal(60, self.noise, (16, 16)) + 120 * inside[label]
        # Python's, NumPy's and torch's global generators are set for each image.
        if self.augment and random.random() < 0.5:
            image = image[:, ::-1]
        return image.clip(0, 255).astype(np.uint8), label


def make(images: int = 400, noise: float = 20) -> dict[str, Shapes]:
    """The images to train and to test on; "val" may be a third part."""
    tested = range(images, images + images // 4)
    return {"train": Shapes(range(images), noise, augment=True), "test": Shapes(tested, noise)}
