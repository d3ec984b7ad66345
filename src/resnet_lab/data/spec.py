"""The choices and facts of data sets, typed. Free of torch."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

from resnet_lab.errors import UserError, several
from resnet_lab.fields import LOCAL, choice, local, number, path

ON_ERROR = ("stop", "skip")
SMALL = (
    64  # pixels: images of at most this side gain little from a second thread, and much from parallel runs
)


@dataclass
class DataConfig:
    """The choices every data set has."""

    # name of the data set
    name: str = "???"
    # folder with the images; null: the data set's own default
    root: str | None = path(None, identity=False)
    # training images to set aside for val/error, chosen by a fixed seed
    validation: int = number(0, least=0)
    # use only this many training images, with the classes in proportion
    train_images: int | None = number(None, least=1)
    # use only this many test images, with the classes in proportion
    test_images: int | None = number(None, least=1)
    # cross-validation: test on this part of the training images, counted from 0; null: off
    fold: int | None = number(None, least=0)
    # number of parts that data.fold counts
    folds: int = number(5, least=2)

    any_size: ClassVar[bool] = False  # images are files of any size, so they can be tested at several
    in_memory: ClassVar[bool] = False  # all images are held as one tensor, of one size
    published: ClassVar[bool] = False  # the name says which images these are, and the order of their classes

    @property
    def holds_out(self) -> bool:
        """Whether training images are set aside, to be read without augmentation."""
        return self.validation > 0 or self.fold is not None

    @property
    def is_small(self) -> bool:
        """Whether images are so small that a second thread gains little, as far as it is known."""
        return True

    @property
    def view(self) -> tuple[int, int, int] | None:
        """The crop of training, that of a test and the shorter side before it, in pixels; None: it has no choice."""
        return None

    def viewed(self, crop: int, side: int, resize: int) -> "DataConfig":  # noqa: ARG002
        """Return the same, tested at this `view`."""
        return self

    def by_channel(self) -> "DataConfig":
        """Return the same, normalised by the mean and deviation of each channel where it has a choice."""
        return self

    def unread(self) -> dict[str, str]:
        """Return the fields that nothing reads with the other choices, and what would read each."""
        return {} if self.fold is not None else {"folds": "data.fold=0"}

    def unaugmented(self) -> "DataConfig":
        """Return the same without augmentation, but for the place of the crop along a file's longer side."""
        return self

    def identified(self, facts: "DataInfo") -> "DataConfig":
        """Return the same, distinguished from other images of its name."""
        return self if facts.fingerprint is None else replace(self, fingerprint=facts.fingerprint)  # type: ignore[call-arg]

    def elsewhere(self) -> dict[str, object]:
        """Return the changes that make it fit other images at another root, of which only the test matters."""
        found: dict[str, object] = {"train_images": None, "validation": 0, "fold": None}
        return found if self.published else {"fingerprint": None, **found}

    def embedded(self, photographs: Callable[[], str]) -> "DataConfig":  # noqa: ARG002
        """Return images of the same kind that need no download; files of photographs lie in `photographs()`."""
        return replace(self, validation=0)


@dataclass
class InMemoryConfig(DataConfig):
    """Small images that are held as one uint8 tensor."""

    # average the images down to this side, in pixels
    size: int | None = number(None, least=1)
    # zero-pad each side by this many pixels and crop at a random offset
    pad: int = number(4, least=0)
    # flip images horizontally at random
    flip: bool = True
    # side of a square that is blanked at random, in pixels; 0: off
    cutout: int = number(0, least=0)
    # transform of the training images, uint8 (C, H, W): {_target_: a.dotted.Path, argument: value}; empty: none
    transform: dict[str, Any] = field(default_factory=dict)
    # subtract the mean of each pixel (as in the papers) or of each channel; auto: also divide by the deviation
    mean: str = choice("pixel", ("pixel", "channel", "auto"))
    # divide by the standard deviation as well
    divide_by_std: bool = False

    in_memory: ClassVar[bool] = True

    def by_channel(self) -> DataConfig:
        return replace(self, mean="channel", divide_by_std=True)

    @property
    def is_small(self) -> bool:
        return self.size is None or self.size <= SMALL

    def unread(self) -> dict[str, str]:
        return super().unread() | ({"divide_by_std": "data.mean=channel"} if self.mean == "auto" else {})

    def unaugmented(self) -> DataConfig:
        return replace(self, pad=0, flip=False, cutout=0, transform={})

    def embedded(self, photographs: Callable[[], str]) -> DataConfig:  # noqa: ARG002
        same = ("mean", "divide_by_std", "cutout", "transform", "fold", "folds")
        kept = {key: getattr(self, key) for key in same}
        kept["validation"] = min(self.validation, 16) if self.published else 0
        return SmallImagesConfig(name="digits", pad=1, flip=False, **kept)


@dataclass
class SmallImagesConfig(InMemoryConfig):
    """Published sets: digits, CIFAR, Fashion-MNIST."""

    published: ClassVar[bool] = True
    # download the data set if it is not there
    download: bool = local(True)


@dataclass
class SmallFolderConfig(InMemoryConfig):
    """Class folders of small image files; `size` scales their middle square."""

    # which images these are, wherever they lie; null: computed from the folder
    fingerprint: str | None = None
    # fraction that is tested on if the folder has no val or test folder
    test_share: float = number(0.2, above=0, below=1)
    # 1: grey, 3: RGB; null: grey if all images are grey
    channels: int | None = None
    # what to do with a broken file: stop, or skip and count it
    on_error: str = choice("stop", ON_ERROR, identity=False)
    # threads that decode the images, the first time only; null: all cores
    workers: int | None = number(None, least=1, identity=False)


@dataclass
class ImageFolderConfig(DataConfig):
    """Class folders of image files."""

    any_size: ClassVar[bool] = True
    # which images these are, wherever they lie; null: computed from the folder
    fingerprint: str | None = None
    # fraction that is tested on if the folder has no val or test folder
    test_share: float = number(0.2, above=0, below=1)
    # side of the training crop, in pixels
    crop: int = number(224, least=1)
    # shorter side before the centre crop of the test, in pixels
    resize: int = number(256, least=1)
    # side of the centre crop of the test, in pixels; null: data.crop
    test_crop: int | None = number(None, least=1)
    # inception: random resized crop; scale_jitter: as in He et al. (2015)
    augmentation: str = choice("inception", ("inception", "scale_jitter"))
    # scale_jitter: the smallest shorter side, in pixels
    scale_min: int = number(256, least=1)
    # scale_jitter: the largest shorter side, in pixels
    scale_max: int = number(480, least=1)
    # flip images horizontally at random
    flip: bool = True
    # standard deviation of AlexNet's colour noise (0.1 in the papers); 0: off
    pca_noise: float = number(0.0, least=0)
    # strength of random changes of brightness, contrast and saturation; 0: off
    colour_jitter: float = number(0.0, least=0)
    # apply TrivialAugment (arXiv 2103.10158)
    trivial_augment: bool = False
    # probability that a random rectangle is erased
    random_erasing: float = number(0.0, least=0, most=1)
    # transform of the training images, uint8 (C, H, W): {_target_: a.dotted.Path, argument: value}; empty: none
    transform: dict[str, Any] = field(default_factory=dict)
    # normalise by the mean and deviation of ImageNet, or by those of the training images (auto)
    mean: str = choice("imagenet", ("imagenet", "auto"))
    # what to do with a broken file: stop, or skip and count it
    on_error: str = choice("stop", ON_ERROR, identity=False)
    # threads that decode images; null: the cores of the run's slot
    workers: int | None = number(None, least=1, identity=False)

    @property
    def view(self) -> tuple[int, int, int]:
        return self.crop, self.test_crop or self.crop, self.resize

    def viewed(self, crop: int, side: int, resize: int) -> DataConfig:
        # The scales of training are checked against the crop, and read by no test.
        least = max(self.scale_min, crop)
        most = max(self.scale_max, least)
        cropped = replace(self, crop=crop, scale_min=least, scale_max=most)
        return replace(cropped, test_crop=None if side == crop else side, resize=resize)

    @property
    def is_small(self) -> bool:
        return self.crop <= SMALL

    def unread(self) -> dict[str, str]:
        found = super().unread()
        if self.augmentation != "scale_jitter":
            found |= dict.fromkeys(("scale_min", "scale_max"), "data.augmentation=scale_jitter")
        return found | ({} if self.fold is None else {"test_share": "data.fold=null"})

    def unaugmented(self) -> DataConfig:
        plain: dict[str, Any] = {"flip": False, "trivial_augment": False, "transform": {}}
        plain |= dict.fromkeys(("pca_noise", "colour_jitter", "random_erasing"), 0.0)
        return replace(self, augmentation="scale_jitter", scale_min=self.crop, scale_max=self.crop, **plain)

    def embedded(self, photographs: Callable[[], str]) -> DataConfig:
        choices: dict[str, Any] = dict.fromkeys(("test_crop", "train_images", "test_images", "fingerprint"))
        choices |= {"crop": 64, "resize": 72, "scale_min": 72, "scale_max": 80, "validation": 0}
        return replace(self, name="image_folder", root=photographs(), **choices)


@dataclass
class ShardsConfig(ImageFolderConfig):
    """Shards that `resnet-lab prepare` wrote, in a folder or at a URL."""

    # where to keep shards of a URL; null: your cache folder
    cache: str | None = path(None, identity=False)
    # how much of them to keep, in GB; null: all
    cache_gb: float | None = number(None, least=0, identity=False)


@dataclass
class OwnConfig(DataConfig):
    """A data set of your own, by the dotted path of what makes it (see resnet_lab.data.own)."""

    # name of the data set; empty: that of its YAML file
    name: str = local("")
    # dotted path of a function or class, for example my_data.make
    _target_: str = ""
    # its arguments (data.root is passed as `root` if it is set); a mapping with a _target_ is made first
    args: dict[str, Any] = field(default_factory=dict)
    # channels of an image; null: as the first image has
    channels: int | None = number(None, least=1, identity=False)
    # height in pixels; null: as the first image has
    height: int | None = number(None, least=1, identity=False)
    # width in pixels; null: as the first image has
    width: int | None = number(None, least=1, identity=False)
    # number of classes, or of outputs if labels are tensors; null: as the data set says
    classes: int | None = number(None, least=1, identity=False)
    # names of the classes; empty: as the data set says
    class_names: list[str] = field(default_factory=list, metadata=LOCAL)
    # what is subtracted from values of 0 to 1, one number per channel; empty: 0; auto: mean and std are measured
    mean: Any = field(default_factory=list)
    # what they are then divided by, one number per channel; empty: 1
    std: list[float] = field(default_factory=list)
    # number and shape of the images; null: computed from the data set
    fingerprint: str | None = None
    # processes that read images; 0: the run's own process; null: the cores of the run's slot
    workers: int | None = number(None, least=0, identity=False)

    @property
    def is_small(self) -> bool:
        return 0 < max(self.height or SMALL + 1, self.width or SMALL + 1) <= SMALL

    def identified(self, facts: "DataInfo") -> DataConfig:
        # Its size decides how many threads a run has.
        return replace(super().identified(facts), height=facts.height, width=facts.width)  # type: ignore[call-arg]


KINDS = (SmallImagesConfig, SmallFolderConfig, ImageFolderConfig, ShardsConfig, OwnConfig)


def data_kind(keys: Collection[str]) -> type[DataConfig]:
    """Return the kind of data set whose choices these are: the one with most of them, and fewest others.

    A configuration that was written names every field that there was then.
    """
    names: dict[type[DataConfig], set[str]] = {kind: {each.name for each in fields(kind)} for kind in KINDS}
    return max(KINDS, key=lambda kind: (len(names[kind] & set(keys)), -len(names[kind])))


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
    target_shape: tuple[int, ...] | None = None  # of labels that are tensors; None: numbers that name classes
    own_batches: bool = False  # batches are not (images, labels): a module of your own takes them as they are

    @property
    def classes(self) -> int:
        return len(self.class_names)


def check_batches(images: int, batch_size: int, *, drop_last: bool, world: int) -> None:
    """Raise UserError where an epoch of so many images has no full batch, or a batch too few for `world` devices."""
    last = 0 if drop_last else images % batch_size
    if batch_size > images:
        only = f"the training set has only {several(images, 'image')}"
        raise UserError(f"recipe.batch_size={batch_size}: {only}")
    if batch_size < world:
        raise UserError(f"recipe.batch_size={batch_size} is less than the {world} devices")
    if 0 < last < world:
        raise UserError(
            f"recipe.batch_size={batch_size}: the last batch of {images} images has {last} for "
            f"{world} devices; set recipe.drop_last=true or another batch size"
        )
