"""Published sets of small images: their facts, where each lies, how it is fetched and read. Free of torch at import.

A new set is one function that reads it, a line in SETS, and a YAML file.
"""

from __future__ import annotations

import fcntl
import gzip
import os
import pickle
import shutil
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from resnet_lab.data.source import Source
from resnet_lab.data.spec import DataInfo, InMemoryConfig, SmallImagesConfig
from resnet_lab.errors import UserError
from resnet_lab.files import cache_folder, expanded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from resnet_lab.data.small.memory import InMemory

    Arrays = tuple[NDArray[np.uint8], NDArray[np.int64]]  # images (N, H, W, C) and labels (N,)

DEFAULT_ROOT = Path("data")  # in the working folder, beside runs/
DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")  # the package dataset-fashion-mnist


def check_augmentation(config: InMemoryConfig, side: int) -> None:
    """Raise UserError for what makes no sense of images with a shorter side of so many pixels."""
    check_range(config, "pad", 0, side - 1)
    check_range(config, "cutout", 0, side)


def check_range(config: InMemoryConfig, key: str, low: int, high: int) -> None:
    """Raise UserError for a number of pixels out of its range; None is allowed."""
    value = getattr(config, key)
    if value is not None and not low <= value <= high:
        raise UserError(f"data.{key}={value}: {low} to {high} pixels of {config.name}")


@dataclass(frozen=True)
class SmallSet:
    """A set's facts, and how its training and test images are read."""

    side: int  # pixels
    channels: int
    train: int  # images
    test: int
    class_names: tuple[str, ...]
    read: Callable[[SmallImagesConfig], tuple[Arrays, Arrays]]


def read_digits(_config: SmallImagesConfig) -> tuple[Arrays, Arrays]:
    """scikit-learn's handwritten digits: 1,437 training and 360 test images, the classes in proportion.

    The set has no split of its own; this one is fixed, whatever the run's seed.
    """
    import numpy as np
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    labels = digits.target.astype(np.int64)
    train, test = train_test_split(np.arange(len(labels)), test_size=360, stratify=labels, random_state=0)
    return (images[train], labels[train]), (images[test], labels[test])


def read_cifar10(config: SmallImagesConfig) -> tuple[Arrays, Arrays]:
    """root/cifar-10-batches-py, torchvision's layout; or root itself is that folder, or holds its archive."""
    from torchvision.datasets import CIFAR10

    return _read_cifar(CIFAR10, config)


def read_cifar100(config: SmallImagesConfig) -> tuple[Arrays, Arrays]:
    """root/cifar-100-python, found as CIFAR-10 is; the 100 fine classes."""
    from torchvision.datasets import CIFAR100

    return _read_cifar(CIFAR100, config)


def _read_cifar(kind: Any, config: SmallImagesConfig) -> tuple[Arrays, Arrays]:
    import numpy as np
    from torchvision.datasets.utils import check_integrity

    published = Published(
        kind.base_folder,
        kind.train_list[0][0],
        lambda partial: kind(partial, download=True),
        kind.filename,
        lambda archive: check_integrity(archive, kind.tgz_md5),
    )
    folder = fetched(config, published)

    def part(files: list[list[str]]) -> Arrays:
        batches = [_unpickled(folder / name, checksum) for name, checksum in files]
        # In memory each channel is a plane (32, 32).
        images = (
            np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        )
        labels = [batch["labels"] if "labels" in batch else batch["fine_labels"] for batch in batches]
        return images, np.concatenate(labels).astype(np.int64)

    return part(kind.train_list), part(kind.test_list)


def _unpickled(path: Path, checksum: str) -> Any:
    """What the published file holds. Raises UserError before another is unpickled: it could run anything."""
    try:
        content = path.read_bytes()
    except OSError:
        raise _spoilt(path) from None
    if md5(content, usedforsecurity=False).hexdigest() != checksum:
        raise _spoilt(path)
    return pickle.loads(content, encoding="latin1")


# Of what the files hold: Debian's are compressed anew, so that the published checksums do not fit them.
_IDX_CHECKSUMS = {
    "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
    "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
    "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
}


def read_fashion_mnist(config: SmallImagesConfig) -> tuple[Arrays, Arrays]:
    """Its four files, compressed or not: in root, root/raw or root/FashionMNIST/raw, or from Debian's package."""
    import numpy as np
    from torchvision.datasets import FashionMNIST

    given = expanded(config.root) if config.root is not None else DEBIAN_FASHION_MNIST
    for folder in (given, given / "raw"):
        if any(folder.glob("train-images-idx3-ubyte*")):
            break
    else:
        fetch = Published(
            "FashionMNIST", "train-images-idx3-ubyte", lambda partial: FashionMNIST(partial, download=True)
        )
        folder = fetched(config, fetch) / "raw"

    def part(name: str) -> Arrays:
        images = np.frombuffer(_idx(folder, f"{name}-images-idx3-ubyte"), np.uint8, offset=16)
        labels = np.frombuffer(_idx(folder, f"{name}-labels-idx1-ubyte"), np.uint8, offset=8)
        return images.reshape(-1, 28, 28, 1).copy(), labels.astype(np.int64)

    return part("train"), part("t10k")


def _idx(folder: Path, name: str) -> bytes:
    """A file in MNIST's format, header included. Raises UserError where it is not the published one."""
    packed, plain = folder / f"{name}.gz", folder / name
    path = packed if packed.is_file() else plain
    try:
        content = gzip.decompress(path.read_bytes()) if path == packed else path.read_bytes()
    except (OSError, EOFError, zlib.error):
        raise _spoilt(path) from None
    if md5(content, usedforsecurity=False).hexdigest() != _IDX_CHECKSUMS[name]:
        raise _spoilt(path)
    return content


def _spoilt(path: Path) -> UserError:
    return UserError(
        f"{path} is missing or not the published file (wrong checksum): remove its folder and fetch it again"
    )


@dataclass(frozen=True)
class Published:
    """A set as it is published."""

    folder: str  # that its archive holds
    file: str  # one that lies in this folder
    fetch: Callable[[str], object]  # fills a folder; an archive that lies there is not downloaded again
    archive: str | None = None
    is_published: Callable[[Path], bool] = Path.is_file  # whether a file is the archive, by its checksum


def fetched(config: SmallImagesConfig, published: Published) -> Path:
    """The set's folder: data.root itself, or in it; where it is absent, its archive there is unpacked, or downloaded.

    A folder beside it is filled and then renamed, so that what is there is whole, and runs that start together
    fetch it once. What lies in a root that cannot be written is unpacked in the user's cache. Raises UserError where
    that fails.
    """
    root = expanded(config.root) if config.root is not None else DEFAULT_ROOT
    if (root / published.file).is_file():
        return root
    if (root / published.folder).is_dir():
        return root / published.folder
    archive = root / published.archive if published.archive else None
    if archive is not None and archive.is_file():
        home = root if os.access(root, os.W_OK) else cache_folder()
    elif config.download:
        archive, home = None, root
    else:
        raise UserError(
            f"no {published.folder} in {root} (data.root), and data.download=false forbids to fetch it"
        )
    try:
        return _filled(home, published, archive)
    except (OSError, RuntimeError) as error:  # torchvision raises both
        reason = " ".join(str(error).split())
        raise UserError(
            f"cannot fetch {config.name} into {home}: {reason}; data.root=FOLDER names an existing copy"
        ) from None


def _filled(home: Path, published: Published, archive: Path | None) -> Path:
    """home/folder, of the archive where there is one. Raises UserError for another archive than the published one."""
    folder = home / published.folder
    home.mkdir(parents=True, exist_ok=True)
    with (home / f".{published.folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():
            return folder
        for rest in home.glob(f".{published.folder}-*"):  # of a process that was killed
            shutil.rmtree(rest, ignore_errors=True)
        with TemporaryDirectory(prefix=f".{published.folder}-", dir=home) as partial:
            if archive is not None:
                if not published.is_published(archive):
                    raise UserError(f"{archive} is not the published file (wrong checksum): fetch it again")
                (Path(partial) / archive.name).symlink_to(archive.resolve())
            published.fetch(partial)
            (Path(partial) / published.folder).rename(folder)
    return folder


_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_CIFAR100 = (
    "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly "
    "camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile "
    "cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp "
    "lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree "
    "orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum "
    "rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider "
    "squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train "
    "trout tulip turtle wardrobe whale willow_tree wolf woman worm "
)
_FASHION = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

SETS = {
    "digits": SmallSet(8, 1, 1437, 360, tuple("0123456789"), read_digits),
    "cifar10": SmallSet(32, 3, 50_000, 10_000, _CIFAR10, read_cifar10),
    "cifar100": SmallSet(32, 3, 50_000, 10_000, tuple(_CIFAR100.split()), read_cifar100),
    "fashion_mnist": SmallSet(28, 1, 60_000, 10_000, _FASHION, read_fashion_mnist),
}


class PublishedImages(Source[SmallImagesConfig]):
    """Digits, CIFAR, Fashion-MNIST."""

    names = tuple(SETS)

    def info(self) -> DataInfo:
        config = self.config
        known = SETS[config.name]
        side = known.side if config.size is None else config.size
        check_range(config, "size", 1, known.side)
        check_augmentation(config, side)
        if config.root is not None and not expanded(config.root).is_dir():
            raise UserError(f"no such folder: {config.root} (data.root)")
        self.check_transform(known.channels, side, side)
        return DataInfo(known.channels, side, side, known.class_names, self.training_images())

    def counts(self) -> dict[str, int]:
        return {"train": SETS[self.config.name].train, "test": SETS[self.config.name].test}

    def open(self) -> InMemory:
        import torch

        from resnet_lab.data.small.memory import InMemory, averaged_down

        read = zip(("train", "test"), SETS[self.config.name].read(self.config), strict=True)
        parts = {
            part: (averaged_down(images, self.config.size), torch.from_numpy(labels))
            for part, (images, labels) in read
        }
        return InMemory(self.config, self.info(), parts, published=True)
