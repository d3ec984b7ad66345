"""Which choices class folders of images (data=imagenet, data=image_folder) allow. Free of torch.

The folders: root/train/CLASS and root/val/CLASS, as torchvision has them, with root/test/CLASS where there is one;
or root/CLASS alone, of which a fixed share is held out. Classes are named after their folders.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from resnet_lab.data.folders.fingerprint import FolderImages, look
from resnet_lab.data.spec import DataInfo, ImageFolderConfig, SmallFolderConfig
from resnet_lab.errors import UserError, unknown
from resnet_lab.files import expanded

NAMES = ("imagenet", "image_folder")


class Found(Protocol):
    """Images where the configuration says."""

    @property
    def splits(self) -> Mapping[str, Any]:
        """Of train, and of val and test where they are kept apart."""
        ...

    @property
    def counts(self) -> Mapping[str, int]:
        """Images of each split."""
        ...

    @property
    def class_names(self) -> tuple[str, ...]: ...

    @property
    def fingerprint(self) -> str: ...


def info(config: ImageFolderConfig) -> DataInfo:
    """The classes and the size of the images. Raises UserError for a choice or a folder that will not do."""
    check(config, NAMES)
    return facts(config, found(config))


def facts(config: ImageFolderConfig, found: Found) -> DataInfo:
    """The same of what was found, whole images or shards."""
    check_found(config, found)
    training = check_counts(config, found.counts)
    validated = "val" in found.splits
    return DataInfo(3, config.crop, config.crop, found.class_names, training, found.fingerprint, validated)


def check_found(config: ImageFolderConfig | SmallFolderConfig, found: Found) -> None:
    """Raises UserError where other images are there than were meant, or validation images are there already."""
    if config.fingerprint not in (None, found.fingerprint):
        raise UserError(
            f"data.root={config.root} holds other images than data.fingerprint={config.fingerprint}: theirs is "
            f"{found.fingerprint}"
        )
    if "val" in found.splits and config.validation:
        raise UserError(f"data.validation={config.validation}: {config.root} keeps its own validation images")


def check_counts(config: ImageFolderConfig | SmallFolderConfig, counts: Mapping[str, int]) -> int:
    """The images to train on. Raises UserError where more images are asked for than there are."""
    left = counts["train"]
    tested = counts["test"] if "test" in counts else round(config.test_share * left)
    if not tested:
        raise UserError(f"data.test_share={config.test_share} of {left} images is none: name a larger share")
    left -= 0 if "test" in counts else tested
    rest = left - config.validation
    for key, there, most in (
        ("validation", left, left - 1),
        ("train_images", rest, rest),
        ("test_images", tested, tested),
    ):
        if (getattr(config, key) or 0) > most:
            raise UserError(
                f"data.{key}={getattr(config, key)}: there are only {there} images to take them from"
            )
    return rest if config.train_images is None else config.train_images


def found(config: ImageFolderConfig | SmallFolderConfig) -> FolderImages:
    """The images that the configuration names. Raises UserError where they are not there."""
    return look(expanded(root(config)))


def root(config: ImageFolderConfig | SmallFolderConfig) -> str:
    """The folder or URL that the configuration names. Raises UserError where it names none."""
    if config.root is None:
        raise UserError(f"data={config.name} needs to know where its images lie: data.root=…")
    return config.root


def counts(config: ImageFolderConfig) -> Mapping[str, int]:
    """Images of each part."""
    return found(config).counts


def check(config: ImageFolderConfig, names: tuple[str, ...]) -> None:
    """Raises UserError for a choice that makes no sense; `names` are those of the sets."""
    if config.name not in names:
        raise unknown("data.name", config.name, names)
    if config.crop > config.resize:
        raise UserError(f"data.crop={config.crop}: allowed are 1 to data.resize={config.resize}")
    if config.test_crop is not None and config.test_crop > config.resize:
        raise UserError(
            f"data.test_crop={config.test_crop}: allowed are 1 to data.resize={config.resize}, or null"
        )
    jitters = config.augmentation == "scale_jitter"
    if jitters and not config.crop <= config.scale_min <= config.scale_max:
        raise UserError(
            f"data.scale_min={config.scale_min}, data.scale_max={config.scale_max}: they must rise from "
            f"data.crop={config.crop}"
        )
