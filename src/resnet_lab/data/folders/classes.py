"""Finding the classes and the image files of a folder, torch-free, and saying what is wrong with a folder."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resnet_lab.errors import UserError

SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
DEVKIT_FILE = re.compile(r"ILSVRC2012_val_\d{8}\.JPEG")


@dataclass(frozen=True)
class Layout:
    """Where the images lie; without a test folder, the test images are a share of the training folder's."""

    splits: dict[str, Path]  # the folders of train, and of val and test where they are kept apart
    class_names: tuple[str, ...]


def find_layout(root: Path) -> Layout:
    """root/train/CLASS and root/val/CLASS (torchvision's), root/test/CLASS beside them, or root/CLASS alone.

    A val folder without a test folder plays the test set, as everyone reports ImageNet. Raises UserError
    where a folder is missing or unreadable, a class is empty or the classes of two folders differ.
    """
    if "train" not in _folders(root):
        names = tuple(_folders(root))
        if not names:
            raise UserError(f"data.root={root} has neither a train folder nor class folders")
        _check_filled(root, names)
        return Layout({"train": root}, names)
    train = root / "train"
    held_out = [root / name for name in ("val", "test") if (root / name).is_dir()]
    if not held_out:
        raise UserError(f"data.root={root} has a train folder, but neither val nor test beside it")
    names = tuple(_folders(train))
    if not names:
        raise UserError(f"{train} has no class folders")
    _check_filled(train, names)
    for folder in held_out:
        _check_same_classes(folder, names)
    roles = ("val", "test") if len(held_out) == 2 else ("test",)
    return Layout({"train": train, **dict(zip(roles, held_out, strict=True))}, names)


def scan(folder: Path, class_names: tuple[str, ...]) -> tuple[NDArray[np.bytes_], NDArray[np.int64]]:
    """Every image of the class folders, sorted: paths inside `folder` (N,) as bytes, and labels (N,).

    Fixed-width bytes: ImageNet's 1.28 million names take 50 MB so, and three times that as str.
    """
    names: list[bytes] = []
    labels: list[int] = []
    for label, class_name in enumerate(class_names):
        found = sorted(os.fsencode(path) for path in _images(folder, class_name))
        names += found
        labels += [label] * len(found)
    return np.array(names, dtype=np.bytes_), np.array(labels, dtype=np.int64)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(
                (entry for entry in entries if not entry.name.startswith(".")), key=lambda e: e.name
            )
    except FileNotFoundError:
        raise UserError(f"no such folder: {folder} (data.root)") from None
    except OSError as error:
        raise UserError(f"cannot read {folder} (data.root): {error.strerror}") from None


def _folders(folder: Path) -> list[str]:
    return [entry.name for entry in _entries(folder) if entry.is_dir()]


def _images(folder: Path, below: str) -> Iterator[str]:
    """Paths of image files anywhere below a class folder, relative to `folder`."""
    for entry in _entries(folder / below):
        if entry.is_dir():
            yield from _images(folder, f"{below}/{entry.name}")
        elif entry.name.lower().endswith(SUFFIXES):
            yield f"{below}/{entry.name}"


def _check_filled(folder: Path, names: tuple[str, ...]) -> None:
    for name in names:
        if next(_images(folder, name), None) is None:
            raise UserError(f"class folder {folder / name} holds no image ({', '.join(SUFFIXES)})")


def _check_same_classes(folder: Path, names: tuple[str, ...]) -> None:
    found = _folders(folder)
    if not found and any(DEVKIT_FILE.fullmatch(entry.name) for entry in _entries(folder)):
        raise UserError(
            f"{folder} is flat, as ImageNet's archive unpacks: its images must lie in one folder a class, as in "
            f"{folder / names[0]}. torchvision sorts them: keep ILSVRC2012_img_val.tar and "
            f"ILSVRC2012_devkit_t12.tar.gz in {folder.parent}, move the flat val folder away and run "
            f"python -c \"import torchvision; torchvision.datasets.ImageNet('{folder.parent}', 'val')\""
        )
    missing, extra = sorted(set(names) - set(found)), sorted(set(found) - set(names))
    if missing:
        raise UserError(f"{folder} lacks {_few(missing)}, which the train folder has")
    if extra:
        raise UserError(f"{folder} has {_few(extra)}, which the train folder lacks")
    _check_filled(folder, names)


def _few(names: list[str]) -> str:
    """Class names in a line: at most three of them."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"class{'es' if len(names) > 1 else ''} {', '.join(map(repr, names[:3]))}{more}"
