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

IMAGENET_CLASSES, IMAGENET_TRAIN_IMAGES, IMAGENET_TEST_IMAGES = 1000, 1_281_167, 50_000
_SOURCES = {
    SmallImagesConfig: ("small", "PublishedImages"),
    SmallFolderConfig: ("small.small_folder", "SmallFolder"),
    ImageFolderConfig: ("folders", "ClassFolders"),
    OwnConfig: ("own", "OwnSource"),
}


def source_of(config: DataConfig, batch_size: int = 2) -> "Source[Any]":
    """Return the images that a configuration names. Raises UserError for a choice that makes no sense."""
    check(config, "data.")
    if isinstance(config, ShardsConfig):
        if (make := registered("images").get("shards")) is None:
            raise UserError(f"data.name={config.name}: shards are an extra, which is not installed")
    else:
        module, name = _SOURCES[type(config)]
        make = getattr(import_module(f"resnet_lab.data.{module}"), name)
    source: Source[Any] = make(config, batch_size)
    return source


def info(config: DataConfig) -> DataInfo:
    """Return what is known of a data set before it is loaded.

    Raises UserError for an unknown name, a choice that makes no sense, or a folder that is not there.
    """
    return source_of(config).info()


def counted(config: DataConfig) -> tuple[int, int]:
    """Return how many images there are to train on, with none set aside, and to test on. Raises as `info`."""
    return source_of(replace(config, validation=0)).left()


def few(config: DataConfig, train: int | None, test: int) -> DataConfig:
    """Return the configuration of at most so many images, as `Source.few` does. Raises as `info`."""
    known: DataConfig = source_of(config).few(train, test)
    return known


def published(config: DataConfig) -> DataInfo | None:
    """Return what is known of ImageNet where `root` does not say where its images lie; None for any other set."""
    if config.root is not None or config.view is None or config.name == "image_folder":
        return None
    crop, training = config.view[0], config.train_images or IMAGENET_TRAIN_IMAGES - config.validation
    return DataInfo(3, crop, crop, tuple(map(str, range(IMAGENET_CLASSES))), training)


def build(config: DataConfig, *, batch_size: int, drop_last: bool, seed: int) -> "DataModule":
    """Return the data of one run. `batch_size` counts the training images of one step over all devices."""
    from resnet_lab.data.datamodule import DataModule

    images = source_of(config, batch_size)
    return DataModule(config, images.info(), images.open, batch_size, drop_last, seed)
