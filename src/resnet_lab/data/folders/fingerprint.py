"""Tell which images lie in a folder, in a few characters that do not depend on where it lies. Free of torch.

The fingerprint is taken of the parts, the class names, and each file's name and size; no file is read. For ImageNet
that takes seconds, so what took long is remembered in the user's cache for as long as none of its folders has changed.
A file that is overwritten in place changes no folder: it is noticed in a set that is looked at quickly, not in a
remembered one.
"""

import hashlib
import json
import logging
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from resnet_lab.data.folders.walk import Stamp, find_layout, images, stamp_of
from resnet_lab.errors import UserError
from resnet_lab.files import cache_folder, write_text

log = logging.getLogger(__name__)

VERSION = 1
NOTES = 3  # of what is remembered
SLOW = 0.2  # seconds: a folder that takes less is looked at each time
SETTLED = 2.0  # seconds: a folder that changed less long ago may change again within one tick of its clock


@dataclass(frozen=True)
class FolderImages:
    """The images of a folder, as they are found there."""

    splits: dict[str, Path]  # train, and val and test where they are kept apart
    class_names: tuple[str, ...]
    counts: dict[str, int]  # images of each split
    fingerprint: str
    others: int = 0  # files in class folders that are not images
    other: str = ""  # one of them
    written: str = ""  # a digest of when each file was written, which the fingerprint leaves out

    def tell_others(self) -> None:
        """Log how many files of the class folders are not images that can be read."""
        if self.others:
            log.warning(
                "left out %d files that Pillow does not read, for example %s", self.others, self.other
            )


def look(root: Path) -> FolderImages:
    """Return the images at `root`. Raises UserError as `find_layout` does, and where a class is empty."""
    began, stamps = time.time(), {str(root): stamp_of(root)}
    note = cache_folder() / "images" / f"{hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]}.json"
    if (known := _remembered(note, root)) is not None:
        return known
    found = _found(root, stamps)
    settled = max(changed for *_, changed in stamps.values()) / 1e9 < began - SETTLED
    if time.time() - began > SLOW and settled:
        _remember(note, root, found, stamps)
    return found


def fingerprint_of(count: int, content: bytes) -> str:
    """Return the number of images, for a person, and a digest of all that tells them apart."""
    return f"{count}-{hashlib.sha256(content).hexdigest()[:12]}"


def _found(root: Path, stamps: dict[str, Stamp]) -> FolderImages:
    splits, class_names = find_layout(root)
    stamps |= {str(folder): stamp_of(folder) for folder in splits.values()}
    counts, others, times = {}, list[str](), hashlib.sha256()
    digests = [json.dumps([VERSION, [os.fsencode(name).hex() for name in class_names]]).encode()]
    for part, folder in splits.items():
        counts[part] = 0
        digest = hashlib.sha256(part.encode())
        for name in class_names:
            files = sorted(
                (b"%s\0%d\n" % (os.fsencode(path), (stat := _stat(entry))[0]), stat[1])
                for path, entry in images(folder, name, stamps, others=others)
            )
            if not files:
                raise UserError(f"class folder {folder / name} holds no image, such as a .jpg or a .png")
            counts[part] += len(files)
            digest.update(b"".join(line for line, _ in files))
            times.update(repr([time for _, time in files]).encode())
        digests.append(digest.digest())
    fingerprint, written = fingerprint_of(sum(counts.values()), b"".join(digests)), times.hexdigest()[:12]
    return FolderImages(splits, class_names, counts, fingerprint, len(others), (*others, "")[0], written)


def _stat(entry: os.DirEntry[str]) -> tuple[int, int]:
    """Return bytes and time of writing in ns; -1 of a link that leads nowhere, a broken image to whoever reads it."""
    try:
        stat = entry.stat()
        return stat.st_size, stat.st_mtime_ns
    except OSError:
        return -1, 0


def _remember(note: Path, root: Path, found: FolderImages, stamps: dict[str, Stamp]) -> None:
    folders = {str(Path(folder).relative_to(root)): stamp for folder, stamp in stamps.items()}
    splits = {part: str(folder.relative_to(root)) for part, folder in found.splits.items()}
    facts = {"version": NOTES, "folders": folders, "found": asdict(found) | {"splits": splits}}
    with suppress(OSError):  # it costs the next look its time, nothing else
        note.parent.mkdir(parents=True, exist_ok=True)
        write_text(note, json.dumps(facts))


def _remembered(note: Path, root: Path) -> FolderImages | None:
    """Return what was found before, if every folder is still as it was then."""
    try:
        facts = json.loads(note.read_text())
        same = (stamp_of(root / folder) == tuple(stamp) for folder, stamp in facts["folders"].items())
        if facts["version"] != NOTES or not all(same):
            return None
        found = FolderImages(**facts["found"])
        splits = {part: root / folder for part, folder in found.splits.items()}
        return replace(found, splits=splits, class_names=tuple(found.class_names))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
