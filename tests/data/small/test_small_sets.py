"""The sets of small images: what they hold, where they are found, and what is said of a bad copy."""

import gzip
import pickle
import shutil
import tarfile
from hashlib import md5
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torchvision.datasets import CIFAR10, CIFAR100

from resnet_lab.data import build, info
from resnet_lab.data.small import _IDX_CHECKSUMS, DEBIAN_FASHION_MNIST, SETS
from resnet_lab.data.small.memory import averaged_down
from resnet_lab.data.spec import SmallImagesConfig
from resnet_lab.errors import UserError

DIGITS = SmallImagesConfig(name="digits", pad=1, flip=False)


def test_the_digits_are_split_once_for_all_with_the_classes_in_proportion() -> None:
    (train, train_labels), (test, test_labels) = SETS["digits"].read(DIGITS)
    assert (train.shape, test.shape) == ((1437, 8, 8, 1), (360, 8, 8, 1))
    assert train.dtype == np.uint8
    assert train.max() == 255
    shares = np.bincount(train_labels) / np.bincount(np.concatenate([train_labels, test_labels]))
    assert np.ptp(shares) < 0.01
    again = SETS["digits"].read(DIGITS)[1][0]
    assert np.array_equal(test, again)


@pytest.mark.parametrize("name", SETS)
def test_what_is_told_beforehand_is_enough_to_build_a_net(name: str) -> None:
    facts = info(SmallImagesConfig(name=name, pad=1))
    assert facts.height == facts.width == SETS[name].side
    assert facts.classes == len(set(facts.class_names))


def test_smaller_images_are_means_of_areas() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), dtype=np.uint8)
    small = averaged_down(images, 4)
    means = images.reshape(3, 4, 2, 4, 2, 1).mean((2, 4))
    assert np.abs(small.numpy() - means).max() <= 0.5


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ({"name": "cifar11"}, "cifar10"),
        ({"mean": "pixle"}, "pixel"),
        ({"size": 9}, "1 to 8 pixels"),
        ({"pad": 8}, "0 to 7 pixels"),
        ({"validation": 1437}, "0 to 1436"),
        ({"train_images": 0}, "at least 1"),
        ({"train_images": 1438}, "1 to 1437"),
        ({"test_images": 361}, "1 to 360"),
        ({"root": "nowhere/at/all"}, "nowhere/at/all"),
    ],
)
def test_a_choice_that_makes_no_sense_is_one_line(choice: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told) as caught:
        info(SmallImagesConfig(**{"name": "digits", "pad": 1, **choice}))
    assert "\n" not in str(caught.value)


def test_small_sets_have_no_other_sizes() -> None:
    data = build(DIGITS, batch_size=8, drop_last=False, seed=0)
    data.setup()
    with pytest.raises(UserError, match="single_view"):
        data.test_views(256, 224)


def write_cifar(root: Path, kind: Any, monkeypatch: pytest.MonkeyPatch, images: int = 20) -> Path:
    """A few images in the published layout, whose checksums torchvision is made to expect."""
    folder = root / kind.base_folder
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)

    def write(name: str, content: dict[str, Any]) -> list[str]:
        data = pickle.dumps(content)
        (folder / name).write_bytes(data)
        return [name, md5(data, usedforsecurity=False).hexdigest()]

    def batch(name: str) -> list[str]:
        pixels = random.integers(0, 256, (images, 3 * 32 * 32), dtype=np.uint8)
        labels = [place % 10 for place in range(images)]
        return write(name, {"data": pixels, "labels" if kind is CIFAR10 else "fine_labels": labels})

    for part in ("train_list", "test_list"):
        monkeypatch.setattr(kind, part, [batch(name) for name, _ in getattr(kind, part)])
    names = [str(number) for number in range(10 if kind is CIFAR10 else 100)]
    _, checksum = write(kind.meta["filename"], {kind.meta["key"]: names})
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": checksum})
    return folder


@pytest.mark.parametrize(("name", "kind", "train"), [("cifar10", CIFAR10, 100), ("cifar100", CIFAR100, 20)])
def test_cifar_is_read_from_its_published_files(
    name: str, kind: Any, train: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_cifar(tmp_path, kind, monkeypatch)
    (images, labels), (test, _) = SETS[name].read(SmallImagesConfig(name=name, root=str(tmp_path)))
    assert (images.shape, test.shape) == ((train, 32, 32, 3), (20, 32, 32, 3))
    with (folder / kind.train_list[0][0]).open("rb") as file:
        pixels = pickle.load(file)["data"][3].reshape(3, 32, 32)
    assert np.array_equal(images[3], pixels.transpose(1, 2, 0))
    assert labels[:12].tolist() == [*range(10), 0, 1]


def archived(folder: Path, kind: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The published archive of the folder, which it replaces; a download would fail."""
    archive = folder.parent / kind.filename
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, folder.name)
    shutil.rmtree(folder)
    monkeypatch.setattr(kind, "tgz_md5", md5(archive.read_bytes(), usedforsecurity=False).hexdigest())
    monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", None)
    return archive


@pytest.mark.parametrize("download", [True, False])
@pytest.mark.parametrize("kind", [CIFAR10, CIFAR100])
@pytest.mark.parametrize("place", ["the folder itself", "a folder of another name", "the archive alone"])
def test_cifar_is_found_without_a_network(
    place: str, kind: Any, download: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_cifar(tmp_path, kind, monkeypatch)
    if place == "the archive alone":
        root = archived(root, kind, monkeypatch).parent
    elif place == "a folder of another name":
        root = root.rename(tmp_path / "cifar")
    config = SmallImagesConfig(name=kind.__name__.lower(), root=str(root), download=download)
    (images, _), (test, _) = SETS[config.name].read(config)
    assert (len(images), len(test)) == (20 * len(kind.train_list), 20)
    again = SETS[config.name].read(config)[0][0]
    assert np.array_equal(again, images)
    assert not [path for path in root.iterdir() if path.is_dir() and path.name.startswith(".")]


def test_an_archive_of_another_checksum_is_refused_and_nothing_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = archived(write_cifar(tmp_path, CIFAR10, monkeypatch), CIFAR10, monkeypatch)
    archive.write_bytes(archive.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"cifar-10-python\.tar\.gz has a wrong checksum"):
        SETS["cifar10"].read(SmallImagesConfig(name="cifar10", root=str(tmp_path)))
    assert {path.name for path in tmp_path.iterdir()} == {archive.name, ".cifar-10-batches-py.lock"}


def test_an_archive_in_a_folder_that_cannot_be_written_is_unpacked_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = archived(write_cifar(tmp_path / "shared", CIFAR10, monkeypatch), CIFAR10, monkeypatch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("resnet_lab.data.small.os.access", lambda *_: False)  # root may write anywhere
    (images, _), _ = SETS["cifar10"].read(SmallImagesConfig(name="cifar10", root=str(archive.parent)))
    assert len(images) == 100
    assert [path.name for path in archive.parent.iterdir()] == [archive.name]
    assert (tmp_path / "cache" / "resnet-lab" / "cifar-10-batches-py").is_dir()


class Touched:
    """A pickle that leaves a trace where it is loaded."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


def test_a_file_of_another_checksum_is_refused_before_it_is_unpickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_cifar(tmp_path, CIFAR10, monkeypatch)
    (folder / "data_batch_3").write_bytes(pickle.dumps(Touched(tmp_path / "trace")))
    with pytest.raises(UserError, match=r"data_batch_3.*wrong checksum"):
        SETS["cifar10"].read(SmallImagesConfig(name="cifar10", root=str(tmp_path)))
    assert not (tmp_path / "trace").exists()


def test_a_download_that_fails_leaves_nothing_that_a_later_start_would_trust(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = SmallImagesConfig(name="cifar10", root=str(tmp_path))

    def cut_off(kind: CIFAR10) -> None:
        part = Path(kind.root) / kind.base_folder
        part.mkdir()
        (part / "data_batch_1").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(CIFAR10, "download", cut_off)
    with pytest.raises(UserError, match="No space left on device") as caught:
        SETS["cifar10"].read(config)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == [".cifar-10-batches-py.lock"]


def test_a_whole_download_appears_under_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published = write_cifar(tmp_path / "published", CIFAR10, monkeypatch)

    def arrive(kind: CIFAR10) -> None:
        published.rename(Path(kind.root) / kind.base_folder)

    monkeypatch.setattr(CIFAR10, "download", arrive)
    root = tmp_path / "root"
    root.mkdir()
    (images, _), _ = SETS["cifar10"].read(SmallImagesConfig(name="cifar10", root=str(root)))
    assert len(images) == 100
    assert sorted(path.name for path in root.iterdir()) == [
        ".cifar-10-batches-py.lock",
        "cifar-10-batches-py",
    ]


def test_a_missing_copy_is_not_fetched_where_that_is_forbidden(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.download=false"):
        SETS["cifar10"].read(SmallImagesConfig(name="cifar10", root=str(tmp_path), download=False))


needs_fashion = pytest.mark.skipif(
    not DEBIAN_FASHION_MNIST.is_dir(), reason="needs Debian's dataset-fashion-mnist"
)


@needs_fashion
def test_fashion_mnist_is_found_where_debian_puts_it() -> None:
    (train, labels), (test, _) = SETS["fashion_mnist"].read(SmallImagesConfig(name="fashion_mnist"))
    assert (train.shape, test.shape) == ((60_000, 28, 28, 1), (10_000, 28, 28, 1))
    assert np.bincount(labels).tolist() == [6000] * 10


@needs_fashion
@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_damaged_file_of_fashion_mnist_is_named(damage: str, tmp_path: Path) -> None:
    for name in _IDX_CHECKSUMS:
        content = gzip.decompress((DEBIAN_FASHION_MNIST / f"{name}.gz").read_bytes())
        (tmp_path / name).write_bytes(content)
    spoilt = tmp_path / "t10k-labels-idx1-ubyte"
    content = spoilt.read_bytes()
    if damage == "gone":
        spoilt.unlink()
    else:
        spoilt.write_bytes(content[:-1] if damage == "cut" else content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(UserError, match="t10k-labels-idx1-ubyte"):
        SETS["fashion_mnist"].read(SmallImagesConfig(name="fashion_mnist", root=str(tmp_path)))
