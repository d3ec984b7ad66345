"""Which choices a set of small images allows, and what they make of it. Free of torch."""

from resnet_lab.data.small.sets import SETS
from resnet_lab.data.spec import DataInfo, InMemoryConfig, SmallImagesConfig
from resnet_lab.errors import UserError, unknown
from resnet_lab.files import expanded


def info(config: SmallImagesConfig) -> DataInfo:
    """What is known of the set; UserError for an unknown name, a choice out of range, or a missing root."""
    if config.name not in SETS:
        raise unknown("data.name", config.name, SETS)
    known = SETS[config.name]
    side = known.side if config.size is None else config.size
    left = known.train - config.validation
    check_range(config, "size", 1, known.side, "pixels")
    check_augmentation(config, side)
    check_range(config, "validation", 0, known.train - 1, "training images")
    check_range(config, "train_images", 1, left, "training images")
    check_range(config, "test_images", 1, known.test, "test images")
    if config.root is not None and not expanded(config.root).is_dir():
        raise UserError(f"no such folder: {config.root} (data.root)")
    training = left if config.train_images is None else config.train_images
    return DataInfo(known.channels, side, side, known.class_names, training)


def counts(config: SmallImagesConfig) -> dict[str, int]:
    """Images of each part."""
    info(config)
    return {"train": SETS[config.name].train, "test": SETS[config.name].test}


def check_augmentation(config: InMemoryConfig, side: int) -> None:
    """Raises UserError for what makes no sense of images with a shorter side of so many pixels."""
    check_range(config, "pad", 0, side - 1, "pixels")
    check_range(config, "cutout", 0, side, "pixels")


def check_range(config: InMemoryConfig, key: str, low: int, high: int, unit: str) -> None:
    """Raises UserError for a number out of its range; None is allowed."""
    value = getattr(config, key)
    if value is not None and not low <= value <= high:
        raise UserError(f"data.{key}={value}: {low} to {high} {unit} of {config.name}")
