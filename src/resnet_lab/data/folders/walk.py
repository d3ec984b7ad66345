"""What lies in class folders: which entries are images, links followed. Free of torch."""

import os
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resnet_lab.errors import UserError
from resnet_lab.files import open_file

# Of pictures that Pillow reads by itself; a file without a suffix is one if it begins like one.
SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"),  # torchvision's
    *(".jpe", ".jfif", ".mpo", ".jp2", ".j2k", ".jpx", ".apng", ".gif", ".avif", ".pbm", ".pnm", ".dib"),
    *(".tga", ".pcx", ".sgi", ".qoi", ".ico", ".psd", ".dds", ".xbm", ".xpm"),
)
NO_DATA = {
    "__MACOSX",
    "@eaDir",
    "lost+found",
}  # what systems leave beside data; so are names with a dot in front
SPLITS = {  # the part that a folder of this name plays, in any case
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}

Stamp = tuple[int, int, int]  # of a folder: device, inode, and the time of its last change in ns


def scan(folder: Path, class_names: tuple[str, ...]) -> tuple[NDArray[np.bytes_], NDArray[np.int64]]:
    """Every image of the class folders, sorted: paths inside `folder` (N,) as bytes, and labels (N,).

    Fixed-width bytes: ImageNet's 1.28 million names take 50 MB so, and three times that as str.
    """
    names: list[bytes] = []
    labels: list[int] = []
    for label, class_name in enumerate(class_names):
        found = sorted(os.fsencode(path) for path, _ in images(folder, class_name))
        names += found
        labels += [label] * len(found)
    return np.array(names, dtype=np.bytes_), np.array(labels, dtype=np.int64)


def images(
    folder: Path,
    below: str,
    stamps: dict[str, Stamp] | None = None,
    above: tuple[Stamp, ...] = (),
    others: list[str] | None = None,
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Image files anywhere below a class folder, with their paths relative to `folder`.

    `stamps` is told each folder that is entered, `others` each file that is no image. Raises UserError for a folder
    that cannot be read, that links back to one `above` it, or that holds splits of its own.
    """
    path = folder / below
    stamp = stamp_of(path)
    if any(stamp[:2] == other[:2] for other in above):
        raise UserError(f"{path} is a link back to a folder that holds it: remove the link")
    if stamps is not None:
        stamps[str(path)] = stamp
    for entry in entries(path):
        if not is_folder(entry):
            if is_image(entry):
                yield f"{below}/{entry.name}", entry
            elif others is not None:
                others.append(f"{below}/{entry.name}")
        elif entry.name.lower() in SPLITS:
            raise _inner_split(folder, Path(below), entry.name)
        else:
            yield from images(folder, f"{below}/{entry.name}", stamps, (*above, stamp), others)


def check_filled(folder: Path, class_name: str) -> None:
    """Raises UserError for a class without images."""
    if next(images(folder, class_name), None) is None:
        raise UserError(f"class folder {folder / class_name} holds no image, such as a .jpg or a .png")


def is_image(entry: os.DirEntry[str]) -> bool:
    """Whether a file is a picture by its suffix or, where it has none, by how it begins."""
    name = entry.name.lower()
    if name.endswith(SUFFIXES):
        return True
    if "." in name:
        return False
    from PIL import Image

    try:
        with FileIO(open_file(Path(entry.path))) as file, Image.open(file):
            return True
    except Exception:  # Pillow raises any for bytes that it takes for an image of some kind
        return False


def stamp_of(folder: Path) -> Stamp:
    """Changes with every entry that is added, removed or renamed. Raises UserError where there is no folder."""
    try:
        found = folder.stat()
    except FileNotFoundError:
        raise UserError(f"no such folder: {folder} (data.root)") from None
    except OSError as error:
        raise UserError(f"cannot read {folder} (data.root): {error.strerror}") from None
    return found.st_dev, found.st_ino, found.st_ctime_ns


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """What a folder holds, sorted, without what is no data. Raises UserError where it cannot be read."""
    try:
        with os.scandir(folder) as found:
            return sorted(
                (entry for entry in found if entry.name[0] != "." and entry.name not in NO_DATA),
                key=lambda entry: entry.name,
            )
    except FileNotFoundError:
        raise UserError(f"no such folder: {folder} (data.root)") from None
    except OSError as error:
        raise UserError(f"cannot read {folder} (data.root): {error.strerror}") from None


def folders(folder: Path) -> list[str]:
    """Names of the folders in a folder. Raises UserError where it cannot be read."""
    return [entry.name for entry in entries(folder) if is_folder(entry)]


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Links are followed; one that leads nowhere, or in a circle, is no folder."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _inner_split(folder: Path, below: Path, split: str) -> UserError:
    """The error for a split within what would be a class: a root too high, or classes outside their splits."""
    path = folder / below
    parts = {SPLITS[name.lower()] for name in folders(path) if name.lower() in SPLITS}
    if len(parts) > 1 and folders(path / split):
        return UserError(f"{path} holds {split} and more splits: data.root={path} would do")
    first = below.parts[0]
    return UserError(
        f"{path} would be a class, and holds a folder {split}: splits come first, as in {split}/{first}"
    )
