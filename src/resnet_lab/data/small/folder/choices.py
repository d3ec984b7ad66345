"""Which choices class folders of small images (data=small_folder) allow, and what is known of them."""

from collections.abc import Mapping

from resnet_lab.data.folders.choices import check_counts, check_found, found
from resnet_lab.data.folders.fingerprint import FolderImages
from resnet_lab.data.small.choices import check_augmentation
from resnet_lab.data.small.folder.cache import Held, held
from resnet_lab.data.spec import DataInfo, SmallFolderConfig
from resnet_lab.errors import UserError, unknown

NAMES = ("small_folder",)


def info(config: SmallFolderConfig) -> DataInfo:
    """The classes and the size of the images, which are decoded where nobody did it before.

    Raises UserError for a choice, a folder or an image that will not do.
    """
    return facts(config)[0]


def facts(config: SmallFolderConfig) -> tuple[DataInfo, FolderImages, Held]:
    """The same, the files, and the images. Free of torch where they were decoded before."""
    _check(config)
    there = found(config)
    check_found(config, there)
    images = held(config, there)
    training = check_counts(config, images.counts)
    check_augmentation(config, min(images.height, images.width))
    shape = images.channels, images.height, images.width
    known = DataInfo(*shape, there.class_names, training, there.fingerprint, "val" in there.splits)
    return known, there, images


def counts(config: SmallFolderConfig) -> Mapping[str, int]:
    """Images of each part."""
    return facts(config)[2].counts


def _check(config: SmallFolderConfig) -> None:
    """Raises UserError for what makes no sense of any images."""
    if config.name not in NAMES:
        raise unknown("data.name", config.name, NAMES)
    if config.channels not in (None, 1, 3):
        raise UserError(f"data.channels={config.channels}: allowed are 1 (grey), 3 (RGB) and null")
    check_augmentation(config, config.size or 2**16)
