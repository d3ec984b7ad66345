"""What a data set is, in words: typed choices and facts. Free of torch."""

from dataclasses import dataclass, field
from typing import Any

from resnet_lab.fields import path

# Where the images lie and how they are read never changes a result, so it stays out of a run's identity.
LOCAL: dict[str, Any] = {"identity": False}


@dataclass
class DataConfig:
    """The choices every data set has."""

    name: str = "???"
    root: str | None = path(None, identity=False)  # None: where the data set's own default is
    validation: int = 0  # training images set aside for val/error, chosen by a fixed seed
    train_images: int | None = None  # use only this many training images, classes in proportion
    test_images: int | None = None  # the same for the test images


@dataclass
class SmallImagesConfig(DataConfig):
    """Sets that fit in memory as one uint8 tensor: digits, CIFAR, Fashion-MNIST."""

    size: int | None = None  # average the images down to this side, in pixels
    pad: int = 4  # zero-pad each side, crop at a random offset: (2 pad + 1)^2 places
    flip: bool = True
    cutout: int = 0  # side of the square that is blanked, in pixels; 0: off
    mean: str = "pixel"  # subtract the mean per pixel (the papers) or per channel
    divide_by_std: bool = False
    download: bool = field(default=True, metadata=LOCAL)


@dataclass
class ImageFolderConfig(DataConfig):
    """Class folders of image files."""

    fingerprint: str | None = None  # which images these are, wherever they lie; None: taken of those at root
    test_share: float = 0.2  # of the images, tested on where the folder keeps no val or test folder
    crop: int = 224  # side of the training crop, in pixels
    resize: int = 256  # shorter side before the centre crop at test time, in pixels
    test_crop: int | None = None  # side of that crop, in pixels; None: as in training
    augmentation: str = "inception"  # inception (random resized crop) or scale_jitter (he2015)
    scale_min: int = 256  # scale jitter: range of the shorter side, in pixels
    scale_max: int = 480
    flip: bool = True
    pca_noise: float = 0.0  # standard deviation of AlexNet's colour noise; the papers: 0.1
    colour_jitter: float = 0.0
    trivial_augment: bool = False
    random_erasing: float = 0.0
    on_error: str = field(default="stop", metadata=LOCAL)  # a broken file: stop, or skip and count
    workers: int | None = field(default=None, metadata=LOCAL)  # decoding threads; None: the cores of the slot


@dataclass
class ShardsConfig(ImageFolderConfig):
    """Shards that `resnet-lab prepare` wrote, in a folder or at a URL."""

    # Shards of a URL are kept here; None: the user's cache.
    cache: str | None = path(None, identity=False)
    cache_gb: float | None = field(default=None, metadata=LOCAL)  # keep at most so many; None: all


@dataclass(frozen=True)
class DataInfo:
    """Facts about a data set that are known before it is loaded."""

    channels: int
    height: int  # pixels
    width: int
    class_names: tuple[str, ...]
    fingerprint: str | None = None  # which images these are, where the name of the set does not say it

    @property
    def classes(self) -> int:
        return len(self.class_names)
