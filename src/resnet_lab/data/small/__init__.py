"""Published sets of small images: their facts, how each is found, fetched and read. Free of torch at import.

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
from hashlib import file_digest, md5
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
    for key, most in (("pad", side - 1), ("cutout", side)):
        if getattr(config, key) > most:
            raise UserError(f"data.{key}={getattr(config, key)}: 0 to {most} pixels of {config.name}")


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
    """Return scikit-learn's handwritten digits: 1,437 training and 360 test images, the classes in proportion.

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


def read_cifar(config: SmallImagesConfig) -> tuple[Arrays, Arrays]:
    """Read torchvision's layout: root/cifar-10-batches-py, root itself is that folder, or it holds the archive.

    CIFAR-100 has its 100 fine classes.
    """
    import numpy as np
    from torchvision import datasets

    kind = getattr(datasets, config.name.upper())
    published = Published(kind, kind.base_folder, kind.train_list[0][0], kind.filename, kind.tgz_md5)
    folder = fetched(config, published)

    def part(files: list[list[str]]) -> Arrays:
        # Unpickling any other file could run anything.
        batches = [pickle.loads(_checked(folder / name, md5), encoding="latin1") for name, md5 in files]
        # In memory each channel is a plane (32, 32).
        planes = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)
        labels = [batch["labels"] if "labels" in batch else batch["fine_labels"] for batch in batches]
        return planes.transpose(0, 2, 3, 1), np.concatenate(labels).astype(np.int64)

    return part(kind.train_list), part(kind.test_list)


# Of what the files hold: Debian's are compressed anew, so that the published checksums do not fit them.
_IDX_CHECKSUMS = {
    "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
    "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
    "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
}


def read_fashion_mnist(config: SmallImagesConfig) -> tuple[Arrays, Arrays]:
    """Read its four files, compressed or not: in root, root/raw or root/FashionMNIST/raw, or from Debian's package."""
    import numpy as np
    from torchvision.datasets import FashionMNIST

    given = expanded(config.root) if config.root is not None else DEBIAN_FASHION_MNIST
    for folder in (given, given / "raw"):
        if any(folder.glob("train-images-idx3-ubyte*")):
            break
    else:
        folder = fetched(config, Published(FashionMNIST, "FashionMNIST", "train-images-idx3-ubyte")) / "raw"

    def idx(name: str, header: int) -> Any:
        packed, plain = folder / f"{name}.gz", folder / name
        content = _checked(packed if packed.is_file() else plain, _IDX_CHECKSUMS[name])
        return np.frombuffer(content, np.uint8, offset=header)

    def part(name: str) -> Arrays:
        images, labels = idx(f"{name}-images-idx3-ubyte", 16), idx(f"{name}-labels-idx1-ubyte", 8)
        return images.reshape(-1, 28, 28, 1).copy(), labels.astype(np.int64)

    return part("train"), part("t10k")


def _checked(path: Path, checksum: str) -> bytes:
    """Return the content of a published file, decompressed. Raises UserError for any other file."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error):
        content = b""
    if md5(content, usedforsecurity=False).hexdigest() != checksum:
        raise UserError(f"{path} is missing or has a wrong checksum: remove its folder and fetch it again")
    return content


@dataclass(frozen=True)
class Published:
    """A set as it is published."""

    kind: Any  # torchvision's class; it does not download an archive that is there already
    folder: str  # that the archive holds
    file: str  # one that lies in this folder
    archive: str | None = None
    checksum: str = ""  # of the archive


def fetched(config: SmallImagesConfig, published: Published) -> Path:
    """Return the set's folder: data.root itself, or in it; otherwise unpacked from an archive there, or downloaded.

    A temporary folder is filled and then renamed, so that what is there is complete, and runs that start together
    fetch it once. An archive in a root that cannot be written is unpacked in the user's cache. Raises UserError where
    that fails.
    """
    root = expanded(config.root) if config.root is not None else DEFAULT_ROOT
    if (root / published.file).is_file():
        return root
    if (root / published.folder).is_dir():
        return root / published.folder
    archive = root / published.archive if published.archive else None
    if archive is not None and not archive.is_file():
        archive = None
    if archive is None and not config.download:
        raise UserError(f"no {published.folder} in {root} (data.root), and data.download=false")
    home = cache_folder() if archive and not os.access(root, os.W_OK) else root
    try:
        return _filled(home, published, archive)
    except (OSError, RuntimeError) as error:  # torchvision raises both
        what, reason = f"cannot fetch {config.name} into {home}", " ".join(str(error).split())
        raise UserError(f"{what}: {reason}; data.root=FOLDER names an existing copy") from None


def _filled(home: Path, published: Published, archive: Path | None) -> Path:
    """Return home/folder, filled first where it is not there. Raises UserError for an archive of another checksum."""
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
                with archive.open("rb") as file:
                    found = file_digest(file, lambda: md5(usedforsecurity=False)).hexdigest()
                if found != published.checksum:
                    raise UserError(f"{archive} has a wrong checksum: fetch it again")
                (Path(partial) / archive.name).symlink_to(archive.resolve())
            published.kind(partial, download=True)
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
_FASHION = "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot"

SETS = {
    "digits": SmallSet(8, 1, 1437, 360, tuple("0123456789"), read_digits),
    "cifar10": SmallSet(32, 3, 50_000, 10_000, _CIFAR10, read_cifar),
    "cifar100": SmallSet(32, 3, 50_000, 10_000, tuple(_CIFAR100.split()), read_cifar),
    "fashion_mnist": SmallSet(28, 1, 60_000, 10_000, tuple(_FASHION.split(",")), read_fashion_mnist),
}


class PublishedImages(Source[SmallImagesConfig]):
    """Digits, CIFAR, Fashion-MNIST."""

    names = tuple(SETS)

    def info(self) -> DataInfo:
        config = self.config
        known = SETS[config.name]
        side = known.side if config.size is None else config.size
        if side > known.side:
            raise UserError(f"data.size={side}: 1 to {known.side} pixels of {config.name}")
        check_augmentation(config, side)
        if config.root is not None and not expanded(config.root).is_dir():
            raise UserError(f"no such folder: {config.root} (data.root)")
        return self.facts((known.channels, side, side), known.class_names)

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
