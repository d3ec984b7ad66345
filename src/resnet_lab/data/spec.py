"""What a data set is, in words: typed choices and facts. Free of torch."""

from collections.abc import Collection
from dataclasses import dataclass, field, fields
from typing import Any

from resnet_lab.errors import UserError, several
from resnet_lab.fields import LOCAL, choice, local, number, path

ON_ERROR = ("stop", "skip")


@dataclass
class DataConfig:
    """The choices every data set has."""

    name: str = "???"
    root: str | None = path(None, identity=False)  # None: where the data set's own default is
    validation: int = number(0, least=0)  # training images set aside for val/error, chosen by a fixed seed
    # Use only this many training images, classes in proportion.
    train_images: int | None = number(None, least=1)
    test_images: int | None = number(None, least=1)  # the same for the test images


@dataclass
class InMemoryConfig(DataConfig):
    """Small images that are held as one uint8 tensor."""

    size: int | None = number(None, least=1)  # average the images down to this side, in pixels
    pad: int = number(4, least=0)  # zero-pad each side, crop at a random offset: (2 pad + 1)^2 places
    flip: bool = True
    cutout: int = number(0, least=0)  # side of the square that is blanked, in pixels; 0: off
    # Subtract the mean per pixel (the papers) or per channel.
    mean: str = choice("pixel", ("pixel", "channel"))
    divide_by_std: bool = False


@dataclass
class SmallImagesConfig(InMemoryConfig):
    """Published sets: digits, CIFAR, Fashion-MNIST."""

    download: bool = local(True)


@dataclass
class SmallFolderConfig(InMemoryConfig):
    """Class folders of small image files; another `size` than theirs enlarges, too, and takes the middle square."""

    fingerprint: str | None = None  # which images these are, wherever they lie; None: taken of those at root
    test_share: float = number(0.2, above=0, below=1)  # as ImageFolderConfig has it
    channels: int | None = None  # 1: grey, 3: RGB; None: grey where all images are
    on_error: str = choice("stop", ON_ERROR, identity=False)  # a broken file: stop, or skip and count
    # Decoding threads, of the first run alone; None: all cores.
    workers: int | None = number(None, least=1, identity=False)


@dataclass
class ImageFolderConfig(DataConfig):
    """Class folders of image files."""

    fingerprint: str | None = None  # which images these are, wherever they lie; None: taken of those at root
    # Of the images, tested on where the folder keeps no val or test folder.
    test_share: float = number(0.2, above=0, below=1)
    crop: int = number(224, least=1)  # side of the training crop, in pixels
    resize: int = number(256, least=1)  # shorter side before the centre crop at test time, in pixels
    test_crop: int | None = number(None, least=1)  # side of that crop, in pixels; None: as in training
    # inception (random resized crop) or scale_jitter (he2015)
    augmentation: str = choice("inception", ("inception", "scale_jitter"))
    scale_min: int = number(256, least=1)  # scale jitter: range of the shorter side, in pixels
    scale_max: int = number(480, least=1)
    flip: bool = True
    pca_noise: float = number(0.0, least=0)  # standard deviation of AlexNet's colour noise; the papers: 0.1
    colour_jitter: float = number(0.0, least=0)
    trivial_augment: bool = False
    random_erasing: float = number(0.0, least=0, most=1)  # a probability
    on_error: str = choice("stop", ON_ERROR, identity=False)  # a broken file: stop, or skip and count
    # Decoding threads; None: the cores of the slot.
    workers: int | None = number(None, least=1, identity=False)


@dataclass
class ShardsConfig(ImageFolderConfig):
    """Shards that `resnet-lab prepare` wrote, in a folder or at a URL."""

    # Shards of a URL are kept here; None: the user's cache.
    cache: str | None = path(None, identity=False)
    cache_gb: float | None = number(None, least=0, identity=False)  # keep at most so many; None: all


@dataclass
class OwnConfig(DataConfig):
    """A data set of somebody's own, by the dotted path of what makes it (resnet_lab.data.own tells what that gives)."""

    # That of its YAML file, where that says none: the target and its arguments tell which images these are.
    name: str = local("")
    _target_: str = ""  # as my_data.make
    # Handed on, and `root` with them where it is given; a mapping with a _target_ of its own is made first.
    args: dict[str, Any] = field(default_factory=dict)
    # Facts. None: as the first image has them; given, they must agree with it.
    channels: int | None = number(None, least=1, identity=False)
    height: int | None = number(None, least=1, identity=False)  # pixels
    width: int | None = number(None, least=1, identity=False)
    classes: int | None = number(None, least=1, identity=False)  # or outputs, if labels are tensors
    class_names: list[str] = field(default_factory=list, metadata=LOCAL)  # empty: those that the set tells
    # Subtracted from values of 0 to 1, and what they are then divided by: one number a channel; empty: 0 and 1.
    mean: list[float] = field(default_factory=list)
    std: list[float] = field(default_factory=list)
    fingerprint: str | None = None  # how many images there are, and of what shape; None: taken of those found
    # Processes that read images; 0: the run's own. None: the cores of the slot.
    workers: int | None = number(None, least=0, identity=False)


FOLDERS = (SmallFolderConfig, ImageFolderConfig)  # class folders of image files
FINGERPRINTED = (*FOLDERS, OwnConfig)  # sets whose name does not say which images they hold
KINDS = (SmallImagesConfig, SmallFolderConfig, ImageFolderConfig, ShardsConfig, OwnConfig)


def data_kind(keys: Collection[str]) -> type[DataConfig]:
    """The kind of data set whose choices these are, as far as they are any's: the least that knows the most of them.

    A configuration that was written names every field that there was then.
    """

    def fit(kind: type[DataConfig]) -> tuple[int, int]:
        known = {each.name for each in fields(kind)}
        return len(known & set(keys)), -len(known)

    return max(KINDS, key=fit)


@dataclass(frozen=True)
class DataInfo:
    """Facts about a data set that are known before it is loaded."""

    channels: int
    height: int  # pixels
    width: int
    class_names: tuple[str, ...]
    training: int  # images that a run trains on
    fingerprint: str | None = None  # which images these are, where the name of the set does not say it
    validated: bool = False  # whether the set keeps validation images of its own
    target_shape: tuple[int, ...] | None = (
        None  # of labels that are tensors; None: whole numbers that name classes
    )

    @property
    def classes(self) -> int:
        return len(self.class_names)


def unread(config: DataConfig) -> dict[str, str]:
    """Return the fields that nothing reads with this data set's choices, and what would read each."""
    if isinstance(config, ImageFolderConfig) and config.augmentation != "scale_jitter":
        return dict.fromkeys(("scale_min", "scale_max"), "data.augmentation=scale_jitter")
    return {}


def check_batches(images: int, batch_size: int, *, drop_last: bool, world: int) -> None:
    """Raise UserError where an epoch of so many images has no full batch, or a batch too few for `world` devices."""
    last = 0 if drop_last else images % batch_size
    if batch_size > images:
        raise UserError(
            f"recipe.batch_size={batch_size}: the training set has only {several(images, 'image')}"
        )
    if batch_size < world:
        raise UserError(f"recipe.batch_size={batch_size} is less than the {world} devices")
    if 0 < last < world:
        raise UserError(
            f"recipe.batch_size={batch_size}: the last batch of {images} images has {last} for "
            f"{world} devices; set recipe.drop_last=true or another batch size"
        )
