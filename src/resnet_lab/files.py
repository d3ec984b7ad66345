"""The one way to write a file that matters: it is the old or the new one, whenever the machine stops.

Standard library only.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CACHE = "resnet-lab"  # in the user's cache

UNFINISHED = ".*.tmp"  # what a process that was killed leaves of a file that it was writing


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; what is written there replaces `path` once it is on the disk."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        settle(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def settle(written: Path, path: Path) -> None:
    """Move a finished file to its place, on the same disk, once all of it is there."""
    _sync(written)
    written.replace(path)
    _sync(path.parent)


def write_text(path: Path, text: str) -> None:
    """Replace the file's content at once; UTF-8 whatever the locale."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Replace the file's content at once."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def expanded(path: Path | str) -> Path:
    """The path with ~ as the user's home; as it is where there is no such home."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def cache_folder() -> Path:
    """Where this user keeps what can be made again; it need not be there."""
    return expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / CACHE


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
