"""Which folders train, validate and test, and what is wrong with a folder that does not say. Free of torch."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from resnet_lab.data.folders.walk import SPLITS, check_filled, entries, folders, is_folder, is_image
from resnet_lab.errors import UserError

DEVKIT_FILE = re.compile(r"ILSVRC2012_val_\d{8}\.JPEG")


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
        raise UserError(f"{train} has no class folders, as {train}/CLASS/IMAGE")
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
                f"{folder} is flat, as ImageNet's archive unpacks: its images must lie in one folder a class, as in "
                f"{folder / names[0]}. torchvision sorts them: keep ILSVRC2012_img_val.tar and "
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
