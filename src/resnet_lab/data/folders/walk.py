"""Find images in class folders, and which folders train, validate and test. Free of torch."""

import os
import re
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resnet_lab.errors import UserError
from resnet_lab.files import open_file

# Of images that Pillow reads by itself; a file without a suffix is one if it begins like one.
SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"),  # torchvision's
    *(".jpe", ".jfif", ".mpo", ".jp2", ".j2k", ".jpx", ".apng", ".gif", ".avif", ".pbm", ".pnm", ".dib"),
    *(".tga", ".pcx", ".sgi", ".qoi", ".ico", ".psd", ".dds", ".xbm", ".xpm"),
)
NO_DATA = {
    "__MACOSX",
    "@eaDir",
    "lost+found",
}  # system files, as are all with a leading dot
SPLITS = {  # the part that a folder of this name plays, in any case
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}

DEVKIT_FILE = re.compile(r"ILSVRC2012_val_\d{8}\.JPEG")

Stamp = tuple[int, int, int]  # of a folder: device, inode, and the time of its last change in ns
Layout = tuple[dict[str, Path], tuple[str, ...]]  # the folders of train, val and test, and the class names


def scan(folder: Path, class_names: tuple[str, ...]) -> tuple[NDArray[np.bytes_], NDArray[np.int64]]:
    """Return every image of the class folders, sorted: paths inside `folder` (N,) as bytes, and labels (N,).

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
    """Yield the image files anywhere below a class folder, with their paths relative to `folder`.

    `stamps` receives each folder that is entered, `others` each file that is not an image. Raises UserError for a
    folder that cannot be read, that links back to one `above` it, or that holds splits of its own.
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
            raise _inner_split(path, entry.name, below.split("/")[0])
        else:
            yield from images(folder, f"{below}/{entry.name}", stamps, (*above, stamp), others)


def is_image(entry: os.DirEntry[str]) -> bool:
    """Return whether a file is an image by its suffix or, where it has none, by how it begins."""
    name = entry.name.lower()
    if "." in name:
        return name.endswith(SUFFIXES)
    from PIL import Image

    try:
        with FileIO(open_file(Path(entry.path))) as file, Image.open(file):
            return True
    except Exception:  # Pillow raises any for bytes that it takes for an image of some kind
        return False


def stamp_of(folder: Path) -> Stamp:
    """Return what changes with every entry that is added, removed or renamed. Raises UserError."""
    try:
        found = folder.stat()
    except OSError as error:
        raise _unreadable(folder, error) from None
    return found.st_dev, found.st_ino, found.st_ctime_ns


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what a folder holds, sorted, without system files. Raises UserError where it cannot be read."""
    try:
        with os.scandir(folder) as found:
            kept = [entry for entry in found if entry.name[0] != "." and entry.name not in NO_DATA]
    except OSError as error:
        raise _unreadable(folder, error) from None
    return sorted(kept, key=lambda entry: entry.name)


def _unreadable(folder: Path, error: OSError) -> UserError:
    if isinstance(error, FileNotFoundError):
        return UserError(f"no such folder: {folder} (data.root)")
    return UserError(f"cannot read {folder} (data.root): {error.strerror}")


def folders(folder: Path) -> list[str]:
    """Return the names of the folders in a folder. Raises UserError where it cannot be read."""
    return [entry.name for entry in entries(folder) if is_folder(entry)]


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder or a link to one; links that lead nowhere or in a circle are not."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def find_layout(root: Path) -> Layout:
    """Read root/train/CLASS and root/val/CLASS (torchvision's), root/test/CLASS beside them, or root/CLASS alone.

    `SPLITS` has the names that are known for them. A val folder without a test folder is the test set, as everyone
    reports ImageNet; without either, the test images are a share of the training images. Raises UserError where a
    folder is missing or unreadable, where another root would do, and where the classes of two folders differ.
    """
    names = folders(root)
    roles = _roles(root, names)
    if not roles:
        return {"train": root}, _classes_alone(root, names)
    if "train" not in roles:
        some = next(iter(roles.values())).name
        raise UserError(f"data.root={root} has a {some} folder, but no train folder beside it")
    train = roles.pop("train")
    if not roles:
        raise UserError(
            f"data.root={root} has a {train.name} folder, but neither val nor test beside it: data.root={train} "
            "holds out a share of its images (data.test_share)"
        )
    classes = tuple(folders(train))
    if not classes:
        raise UserError(f"{train} has no class folders, for example {train}/CLASS/IMAGE")
    for name in classes:
        if name.lower() in SPLITS:
            raise UserError(f"{train / name} would be a class: a split lies in data.root, not in a split")
    for folder in roles.values():
        _check_same_classes(folder, set(classes))
    parts = ("val", "test") if len(roles) == 2 else ("test",)
    return {"train": train, **dict(zip(parts, roles.values(), strict=True))}, classes


def _roles(root: Path, names: list[str]) -> dict[str, Path]:
    """Return the folders of train, val and test, in this order. Raises UserError where two hold the same images."""
    found: dict[str, Path] = {}
    for name in names:
        role = SPLITS.get(name.lower())
        if role in found:
            both = f"{found[role].name} and {name}, which both hold the {role} images"
            raise UserError(f"data.root={root} has {both}: move one of them away")
        if role is not None:
            found[role] = root / name
    return {role: found[role] for role in ("train", "val", "test") if role in found}


def _classes_alone(root: Path, names: list[str]) -> tuple[str, ...]:
    """Return the class folders of a root without splits. Raises UserError where another root was meant."""
    whole = root.resolve()
    for above in whole.parents[:2]:
        if whole.relative_to(above).parts[0].lower() in SPLITS and _is_set(above):
            raise UserError(f"data.root={root} is one part of the images: data.root={above} has all of them")
    if not names:
        raise UserError(f"data.root={root} has neither a train folder nor class folders")
    if len(names) == 1:
        inner = root / names[0]
        while len(deeper := folders(inner)) == 1 and not _roles(inner, deeper):
            inner /= deeper[0]
        if deeper:
            raise UserError(f"data.root={root} holds one folder alone: data.root={inner} would do")
    return tuple(names)


def _is_set(folder: Path) -> bool:
    """Return whether training and other images lie there side by side."""
    try:
        roles = _roles(folder, folders(folder))
    except UserError:
        return False
    return "train" in roles and len(roles) > 1


def _inner_split(path: Path, split: str, first: str) -> UserError:
    """Return the error for a split within what would be a class: a root too high, or classes outside their splits."""
    parts = {SPLITS[name.lower()] for name in folders(path) if name.lower() in SPLITS}
    if len(parts) > 1 and folders(path / split):
        return UserError(f"{path} holds {split} and more splits: data.root={path} would do")
    return UserError(f"{path} would be a class: splits come first, for example in {split}/{first}")


def _check_same_classes(folder: Path, names: set[str]) -> None:
    found = set(folders(folder))
    if not found & names:
        if any(DEVKIT_FILE.fullmatch(entry.name) for entry in entries(folder)):
            raise UserError(
                f"{folder} is flat, as ImageNet's archive unpacks. torchvision sorts it into class folders: "
                f"keep ILSVRC2012_img_val.tar and ILSVRC2012_devkit_t12.tar.gz in {folder.parent}, move {folder.name} "
                f"away; run python -c \"import torchvision; torchvision.datasets.ImageNet('{folder.parent}', 'val')\""
            )
        raise UserError(f"{folder} has no class folder of {_few(names)}: sort its images, or move it away")
    if names - found:
        raise UserError(f"{folder} lacks {_few(names - found)}, which the train folder has")
    if found - names:
        raise UserError(f"{folder} has {_few(found - names)}, which the train folder lacks")


def _few(names: set[str]) -> str:
    """Return class names in a line: at most three of them."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"class{'es' if len(names) > 1 else ''} {', '.join(map(repr, sorted(names)[:3]))}{more}"
