"""What lies in class folders: which entries are images, which folders train, validate and test. Free of torch."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
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

DEVKIT_FILE = re.compile(r"ILSVRC2012_val_\d{8}\.JPEG")

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

    `stamps` receives each folder that is entered, `others` each file that is no image. Raises UserError for a folder
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
        f"{path} would be a class, and holds a folder {split}: splits come first, for example in {split}/{first}"
    )


@dataclass(frozen=True)
class Layout:
    """Where the images lie; without a test folder, the test images are a share of the training folder's."""

    splits: dict[str, Path]  # the folders of train, and of val and test where they are kept apart
    class_names: tuple[str, ...]


def find_layout(root: Path) -> Layout:
    """root/train/CLASS and root/val/CLASS (torchvision's), root/test/CLASS beside them, or root/CLASS alone.

    `SPLITS` has the names that are known for them. A val folder without a test folder plays the test set, as everyone
    reports ImageNet. Raises UserError where a folder is missing or unreadable, where another root would do, and
    where the classes of two folders differ.
    """
    names = folders(root)
    roles = _roles(root, names)
    if not roles:
        return Layout({"train": root}, _classes_alone(root, names))
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
            raise UserError(
                f"{train / name} would be a class: a split lies in data.root, not in another split"
            )
    for folder in roles.values():
        _check_same_classes(folder, train, classes)
    parts = ("val", "test") if len(roles) == 2 else ("test",)
    return Layout({"train": train, **dict(zip(parts, roles.values(), strict=True))}, classes)


def _roles(root: Path, names: Iterable[str]) -> dict[str, Path]:
    """The folders of train, val and test, in this order. Raises UserError where two would play one part."""
    found: dict[str, Path] = {}
    for name in names:
        role = SPLITS.get(name.lower())
        if role is None:
            continue
        if role in found:
            raise UserError(
                f"data.root={root} has {found[role].name} and {name}, which both hold the {role} images: "
                "move one of them away"
            )
        found[role] = root / name
    return {role: found[role] for role in ("train", "val", "test") if role in found}


def _classes_alone(root: Path, names: list[str]) -> tuple[str, ...]:
    """The class folders of a root without splits. Raises UserError where another root was meant."""
    whole = root.resolve()
    if whole.name.lower() in SPLITS and _is_set(whole.parent):
        raise UserError(
            f"data.root={root} is one part of the images: data.root={whole.parent} has all of them"
        )
    if not names:
        if not any(is_image(entry) for entry in entries(root) if not is_folder(entry)):
            raise UserError(f"data.root={root} has neither a train folder nor class folders")
        for above in (whole.parent.parent, whole.parent):
            if _is_set(above):
                raise UserError(f"data.root={root} is one class: data.root={above} has all of them")
        raise UserError(
            f"data.root={root} has images, but no class folders: each class is a folder of its own"
        )
    if len(names) == 1:
        inner = root / names[0]
        while len(deeper := folders(inner)) == 1 and not _roles(inner, deeper):
            inner /= deeper[0]
        if deeper:
            raise UserError(f"data.root={root} holds one folder alone: data.root={inner} would do")
    return tuple(names)


def _is_set(folder: Path) -> bool:
    """Whether training and other images lie there side by side."""
    try:
        roles = _roles(folder, folders(folder))
    except UserError:
        return False
    return "train" in roles and len(roles) > 1


def _check_same_classes(folder: Path, train: Path, names: tuple[str, ...]) -> None:
    found = folders(folder)
    if not set(found) & set(names):
        if any(DEVKIT_FILE.fullmatch(entry.name) for entry in entries(folder)):
            raise UserError(
                f"{folder} is flat, as ImageNet's archive unpacks: its images must lie in one folder per class, "
                f"for example in {folder / names[0]}. torchvision sorts them: keep ILSVRC2012_img_val.tar and "
                f"ILSVRC2012_devkit_t12.tar.gz in {folder.parent}, move the flat val folder away and run "
                f"python -c \"import torchvision; torchvision.datasets.ImageNet('{folder.parent}', 'val')\""
            )
        raise UserError(
            f"{folder} has no class folder of {_few(list(names))}: sort its images into one folder a class, or move "
            "it away"
        )
    missing, extra = sorted(set(names) - set(found)), sorted(set(found) - set(names))
    for where, unmatched in ((train, missing), (folder, extra)):
        for name in unmatched:
            check_filled(where, name)
    if missing:
        raise UserError(f"{folder} lacks {_few(missing)}, which the train folder has")
    if extra:
        raise UserError(f"{folder} has {_few(extra)}, which the train folder lacks")


def _few(names: list[str]) -> str:
    """Class names in a line: at most three of them."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"class{'es' if len(names) > 1 else ''} {', '.join(map(repr, names[:3]))}{more}"
