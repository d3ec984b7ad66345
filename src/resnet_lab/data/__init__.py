"""Data sets, device-side augmentation and loaders. Free of torch until `build` is called.

The class of a configuration says which room serves it, its `name` which data set of that room.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from resnet_lab.data.spec import (
    DataConfig,
    DataInfo,
    ImageFolderConfig,
    OwnConfig,
    ShardsConfig,
    SmallFolderConfig,
    SmallImagesConfig,
)
from resnet_lab.fields import check

if TYPE_CHECKING:
    from resnet_lab.data.module import DataModule

__all__ = [
    "DataConfig",
    "DataInfo",
    "ImageFolderConfig",
    "OwnConfig",
    "ShardsConfig",
    "SmallFolderConfig",
    "SmallImagesConfig",
    "build",
    "counted",
    "info",
    "published",
]

IMAGENET_CLASSES, IMAGENET_TRAIN_IMAGES, IMAGENET_TEST_IMAGES = 1000, 1_281_167, 50_000
_ROOMS = {
    SmallImagesConfig: "small",
    SmallFolderConfig: "small.folder",
    ImageFolderConfig: "folders",
    ShardsConfig: "shards",
    OwnConfig: "own",
}


def info(config: DataConfig) -> DataInfo:
    """What is known of a data set before it is loaded.

    Raises UserError for an unknown name, a choice that makes no sense, or a folder that is not there.
    """
    check(config, "data.")
    return _part(config, "choices").info(config)


def counted(config: DataConfig) -> tuple[int, int]:
    """How many images there are to train on, none of them set aside, and to test on; UserError as `info` raises it."""
    counts: dict[str, int] = dict(_part(config, "choices").counts(config))
    if "test" in counts:
        return counts["train"], counts["test"]
    held_out = round(getattr(config, "test_share", 0) * counts["train"])
    return counts["train"] - held_out, held_out


def published(config: DataConfig) -> DataInfo | None:
    """What is known of ImageNet where `root` does not say where its images lie; None of any other set."""
    if config.root is not None or not isinstance(config, ImageFolderConfig) or config.name == "image_folder":
        return None
    training = config.train_images or IMAGENET_TRAIN_IMAGES - config.validation
    return DataInfo(3, config.crop, config.crop, tuple(map(str, range(IMAGENET_CLASSES))), training)


def build(config: DataConfig, *, batch_size: int, drop_last: bool, seed: int) -> "DataModule":
    """The data of one run. `batch_size` counts the training images of one step over all devices."""
    return _part(config, "module").build(config, batch_size=batch_size, drop_last=drop_last, seed=seed)


def _part(config: DataConfig, name: str) -> ModuleType:
    return import_module(f"resnet_lab.data.{_ROOMS[type(config)]}.{name}")
