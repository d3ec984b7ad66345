"""The sets of small images: where each lies and how it is read. Free of torch at import.

A new set is one function that reads it, a line in SETS, and a YAML file.
"""

from __future__ import annotations

import gzip
import pickle
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resnet_lab.data.small.fetch import Published, fetched
from resnet_lab.data.spec import SmallImagesConfig
from resnet_lab.errors import UserError
from resnet_lab.files import expanded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Arrays = tuple[NDArray[np.uint8], NDArray[np.int64]]  # images (N, H, W, C) and labels (N,)

DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")  # the package dataset-fashion-mnist


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
