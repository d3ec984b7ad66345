"""The one way to write a file that matters, old or new whenever the machine stops, and to read one of anybody's.

Standard library only.
"""

import errno
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

CACHE = "resnet-lab"  # in the user's cache

UNFINISHED = ".*.[0-9]*.tmp"  # what a process that was killed leaves of a file that it was writing
MOST = 64 * 2**20  # bytes: no text that a run leaves comes near it
MOST_YAML = 2**20  # characters: nor does its configuration
MOST_DEPTH = 100
MOST_BYTES = 2**30  # of an image
Read = TypeVar("Read")


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


def digest_of(path: Path) -> str:
    """Return 16 hexadecimal digits of a file's content."""
    with os.fdopen(open_file(path), "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()[:16]


def write_text(path: Path, text: str) -> None:
    """Replace the file's content at once; UTF-8 whatever the locale."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Replace the file's content at once."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def expanded(path: Path | str) -> Path:
    """Return the path with ~ as the user's home; as it is where there is no such home."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def cache_folder() -> Path:
    """Return where this user keeps what can be made again; it need not be there."""
    return expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / CACHE


def open_file(path: Path, flags: int = os.O_RDONLY) -> int:
    """Return the descriptor of a regular file. OSError for anything else: a pipe would keep its reader waiting."""
    descriptor = os.open(path, flags | os.O_NONBLOCK, 0o644)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return descriptor


def read_text(path: Path) -> str:
    """Return the content of a regular file in UTF-8, whatever the locale. OSError or ValueError for anything else."""
    with open(open_file(path), encoding="utf-8") as file:
        if os.fstat(file.fileno()).st_size > MOST:
            raise OSError(errno.EFBIG, f"it is larger than {MOST >> 20} MiB", str(path))
        return file.read()


def read_bytes(path: Path) -> bytes:
    """Return the content of a regular file. OSError for anything else."""
    with open(open_file(path), "rb") as file:
        if os.fstat(file.fileno()).st_size > MOST_BYTES:
            raise OSError(errno.EFBIG, f"it is larger than {MOST_BYTES >> 20} MiB", str(path))
        return file.read()


def read_json(path: Path) -> Any:
    """Return the plain values in a JSON file of anybody's. OSError or ValueError for anything else."""
    try:
        return json.loads(read_text(path))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_yaml(path: Path) -> Any:
    """Return the plain values in a YAML file of anybody's, or in JSON. OSError or ValueError for anything else."""
    import yaml

    text = bounded(read_text(path))
    try:
        # libyaml's loader is ten times as fast, where there is one; it dies of what is nested deeply.
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None


def bounded(text: str) -> str:
    """Return the YAML unchanged. Raises ValueError if it could take unbounded time or memory to read.

    An alias stands for a copy of what it names: a few lines of them are gigabytes. Interpolations are as bad.
    """
    if len(text) > MOST_YAML:
        raise ValueError(f"it is longer than {MOST_YAML >> 10} KiB")
    if "${" in text:
        raise ValueError("it holds an interpolation, ${…}: values must be written out")
    if "*" in text or len(text) > 100_000 or sum(map(text.count, "[{-?")) > 1000:
        import yaml

        depth = 0
        try:
            for event in yaml.parse(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
                if isinstance(event, yaml.AliasEvent):
                    raise ValueError(f"it holds the alias *{event.anchor}: values must be written out")
                depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(
                    event, yaml.CollectionEndEvent
                )
                if depth > MOST_DEPTH:
                    raise ValueError("it is nested too deeply")
        except yaml.YAMLError as error:
            raise ValueError(" ".join(str(error).split())) from None
    return text


def tail(path: Path, most: int = 4096) -> str:
    """Return the end of a regular file, whatever it holds; empty where there is none."""
    try:
        with open(open_file(path), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - most))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


class Watched(Generic[Read]):
    """Reads files that another program writes again only once one of them has changed."""

    def __init__(self, read: Callable[[], Read], *paths: Path) -> None:
        self._read, self._paths = read, paths
        self._known: tuple[object, Read] | None = None  # the stamps of the files; what was read

    def now(self) -> Read:
        seen = [_stamp(path) for path in self._paths]
        if self._known is None or self._known[0] != seen:
            self._known = seen, self._read()
        return self._known[1]


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Return what changes with a file: which it is, when it was written, its size; None if it cannot be seen."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
