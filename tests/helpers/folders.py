"""Small image folders in torchvision's layout, made of noise that survives JPEG: the tests share them."""

from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from resnet_lab.data import build
from resnet_lab.data.small.memory import InMemory
from resnet_lab.data.spec import ImageFolderConfig, InMemoryConfig, ShardsConfig

CLASSES = ("cat", "dog", "eel")


def picture(number: int, height: int = 48, width: int = 64, channels: int = 3) -> Image.Image:
    """Smooth noise of its own, so that every image can be told from the others."""
    noise = np.random.default_rng(number).integers(0, 256, (6, 8, channels), dtype=np.uint8).squeeze()
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def make(root: Path, splits: tuple[str, ...] = ("train", "val"), images: int = 10) -> Path:
    """root/SPLIT/CLASS/N.jpg; "" for the class folders alone. Returns root."""
    number = 0
    for split in splits:
        for name in CLASSES:
            folder = root / split / name
            folder.mkdir(parents=True)
            for place in range(images):
                picture(number).save(folder / f"{place:02d}.jpg", quality=95)
                number += 1
    return root


def config(root: Path | str, /, **choices: object) -> ImageFolderConfig:
    given = {
        "name": "image_folder",
        "root": str(root),
        "crop": 32,
        "resize": 36,
        "scale_min": 36,
        "scale_max": 44,
    }
    kind = ShardsConfig if choices.get("name") == "imagenet_shards" else ImageFolderConfig
    return kind(**{**given, **choices})  # type: ignore[arg-type]


def used(config: InMemoryConfig) -> dict[str, tuple[Tensor, Tensor]]:
    """The images (N, H, W, C) in memory that train, validate and test, and their labels."""
    data = build(config, batch_size=8, drop_last=False, seed=0)
    data.setup()
    assert isinstance(data.images, InMemory)
    return data.images.used
