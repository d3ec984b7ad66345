"""Which images lie in a folder, in a few characters that do not depend on where it lies. Free of torch.

The fingerprint is taken of the parts, the class names, and each file's name and size; no file is read. Of ImageNet
that takes seconds, so what took long is remembered in the user's cache for as long as no folder of it has changed.
A file that is overwritten in place changes no folder: of a set that is looked at quickly it is noticed, of a
remembered one it is not.
"""

import hashlib
import json
import logging
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from resnet_lab.data.folders.walk import Layout, Stamp, check_filled, find_layout, images, stamp_of
from resnet_lab.files import cache_folder, write_text

log = logging.getLogger(__name__)

VERSION = 1
NOTES = 2  # of what is remembered
SLOW = 0.2  # seconds: what is looked at within them is looked at each time
SETTLED = 2.0  # seconds: a folder that changed less long ago may change again within one tick of its clock


@dataclass(frozen=True)
class FolderImages:
    """The images of a folder, as they are found there."""

    splits: dict[str, Path]  # train, and val and test where they are kept apart
    class_names: tuple[str, ...]
    counts: dict[str, int]  # images of each split
    fingerprint: str
    others: int = 0  # files in class folders that are no images
    other: str = ""  # one of them
    written: str = ""  # a digest of when each file was written: what was made of other pixels is of another

    def tell_others(self) -> None:
        """Log how many files of the class folders are no images that can be read."""
        if self.others:
            log.warning(
                "left out %d files that are no images which Pillow reads by itself, such as %s",
                self.others,
                self.other,
            )


def look(root: Path) -> FolderImages:
    """The images at `root`. Raises UserError as `find_layout` does, and where a class is empty."""
    began, stamps = time.time(), {str(root): stamp_of(root)}
    note = cache_folder() / "images" / f"{hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]}.json"
    known = _remembered(note, root)
    if known is not None:
        return known
    layout = find_layout(root)
    stamps |= {str(folder): stamp_of(folder) for folder in layout.splits.values()}
    found = _taken(layout, stamps)
    settled = max(changed for *_, changed in stamps.values()) / 1e9 < began - SETTLED
    if time.time() - began > SLOW and settled:
        _remember(note, root, found, stamps)
    return found


def fingerprint_of(count: int, content: bytes) -> str:
    """The number of images, which tells a person something, and a digest of all that tells them apart."""
    return f"{count}-{hashlib.sha256(content).hexdigest()[:12]}"


def _taken(layout: Layout, stamps: dict[str, Stamp]) -> FolderImages:
    counts, others, times = {}, list[str](), hashlib.sha256()
    parts = [json.dumps([VERSION, [os.fsencode(name).hex() for name in layout.class_names]]).encode()]
    for part, folder in layout.splits.items():
        counts[part] = 0
        digest = hashlib.sha256(part.encode())
        for name in layout.class_names:
            files = sorted(
                (b"%s\0%d\n" % (os.fsencode(path), (stat := _stat(entry))[0]), stat[1])
                for path, entry in images(folder, name, stamps, others=others)
            )
            if not files:
                check_filled(folder, name)
            counts[part] += len(files)
            digest.update(b"".join(line for line, _ in files))
            times.update(repr([time for _, time in files]).encode())
        parts.append(digest.digest())
    mark = fingerprint_of(sum(counts.values()), b"".join(parts))
    return FolderImages(
        layout.splits,
        layout.class_names,
        counts,
        mark,
        len(others),
        others[0] if others else "",
        times.hexdigest()[:12],
    )


def _stat(entry: os.DirEntry[str]) -> tuple[int, int]:
    """Bytes and time of writing in ns; -1 of a link that leads nowhere, a broken image to whoever reads it."""
    try:
        stat = entry.stat()
        return stat.st_size, stat.st_mtime_ns
    except OSError:
        return -1, 0


def _remember(note: Path, root: Path, found: FolderImages, stamps: dict[str, Stamp]) -> None:
    def inside(folder: Path | str) -> str:
        return str(Path(folder).relative_to(root))

    facts = asdict(found) | {"version": NOTES}
    facts["folders"] = {inside(folder): stamp for folder, stamp in stamps.items()}
    facts["splits"] = {part: inside(folder) for part, folder in found.splits.items()}
    with suppress(OSError):  # it costs the next look its time, nothing else
        note.parent.mkdir(parents=True, exist_ok=True)
        write_text(note, json.dumps(facts))


def _remembered(note: Path, root: Path) -> FolderImages | None:
    """What was found before, where every folder is still as it was then."""
    try:
        facts: dict[str, Any] = json.loads(note.read_text())
        if facts["version"] != NOTES:
            return None
        if any(stamp_of(root / folder) != tuple(stamp) for folder, stamp in facts["folders"].items()):
            return None
        splits = {part: root / folder for part, folder in facts["splits"].items()}
        return FolderImages(
            splits,
            tuple(facts["class_names"]),
            dict(facts["counts"]),
            str(facts["fingerprint"]),
            int(facts["others"]),
            str(facts["other"]),
            str(facts["written"]),
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
