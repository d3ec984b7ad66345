"""Data sets, device-side augmentation and loaders. Free of torch until `build` is called.

The class of a configuration says which source has its images, its `name` which of that source's sets they are.
"""

from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from resnet_lab.data.spec import (
    DataConfig,
    DataInfo,
    ImageFolderConfig,
    OwnConfig,
    ShardsConfig,
    SmallFolderConfig,
    SmallImagesConfig,
)
from resnet_lab.errors import UserError
from resnet_lab.extras import registered
from resnet_lab.fields import check

if TYPE_CHECKING:
    from resnet_lab.data.datamodule import DataModule
    from resnet_lab.data.source import Source

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
    "few",
    "info",
    "published",
    "source_of",
]

IMAGENET_CLASSES, IMAGENET_TRAIN_IMAGES, IMAGENET_TEST_IMAGES = 1000, 1_281_167, 50_000
_SOURCES = {
    SmallImagesConfig: "small.PublishedImages",
    SmallFolderConfig: "small.small_folder.SmallFolder",
    ImageFolderConfig: "folders.ClassFolders",
    ShardsConfig: "shards",  # an extra's
    OwnConfig: "own.OwnSource",
}


def source_of(config: DataConfig, batch_size: int = 2) -> "Source[Any]":
    """Return the images that a configuration names. Raises UserError for a choice that makes no sense."""
    check(config, "data.")
    module, _, name = _SOURCES[type(config)].rpartition(".")
    if not module:
        if (make := registered("images").get(name)) is None:
            raise UserError(f"data.name={config.name}: {name} are an extra, which is not here")
        extra: Source[Any] = make(config, batch_size)
        return extra
    found: Source[Any] = getattr(import_module(f"resnet_lab.data.{module}"), name)(config, batch_size)
    return found


def info(config: DataConfig) -> DataInfo:
    """Return what is known of a data set before it is loaded.

    Raises UserError for an unknown name, a choice that makes no sense, or a folder that is not there.
    """
    return source_of(config).info()


def counted(config: DataConfig) -> tuple[int, int]:
    """How many images there are to train on, none of them set aside, and to test on; UserError as `info` raises it."""
    return source_of(replace(config, validation=0)).left()


def few(config: DataConfig, train: int | None, test: int) -> DataConfig:
    """Return the configuration of at most so many images, as `Source.few` has it. Raises UserError as `info` does."""
    known: DataConfig = source_of(config).few(train, test)
    return known


def published(config: DataConfig) -> DataInfo | None:
    """What is known of ImageNet where `root` does not say where its images lie; None of any other set."""
    if config.root is not None or config.view is None or config.name == "image_folder":
        return None
    crop, training = config.view[0], config.train_images or IMAGENET_TRAIN_IMAGES - config.validation
    return DataInfo(3, crop, crop, tuple(map(str, range(IMAGENET_CLASSES))), training)


def build(config: DataConfig, *, batch_size: int, drop_last: bool, seed: int) -> "DataModule":
    """The data of one run. `batch_size` counts the training images of one step over all devices."""
    from resnet_lab.data.datamodule import DataModule

    images = source_of(config, batch_size)
    return DataModule(
        config, images.info(), images.open, batch_size=batch_size, drop_last=drop_last, seed=seed
    )
