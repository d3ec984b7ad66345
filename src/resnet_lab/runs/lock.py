"""One process a folder: a lock that the operating system frees when its holder dies. Free of torch.

`flock` holds between processes of one host, and on NFSv4 and most cluster file systems between hosts too; a file
system that knows no locks is refused rather than trusted. `filelock` would there fall back to a file that outlives its
process; it also cannot be asked who holds a lock without a right to write.
"""

import fcntl
import json
import os
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

from resnet_lab.errors import NO_LOCKS, UserError
from resnet_lab.files import open_file, read_text

PATIENCE = 1.0  # seconds: a process that only asks for the state holds the lock for a moment


HELD: WeakSet["Lock"] = WeakSet()


def _leave_to_parent() -> None:
    """Close in a fork what is the parent's: a worker that outlives its killed run would hold the folder."""
    for lock in list(HELD):
        lock.close()


os.register_at_fork(after_in_child=_leave_to_parent)


class LostLock(RuntimeError):
    """The lock file was removed or replaced under the process that held it."""


def held(path: Path) -> bool:
    """Return whether a living process holds the lock; asking needs no right to write."""
    try:
        descriptor = open_file(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _unusable(path, error) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    except OSError as error:
        raise _without_locks(path, error) from None
    finally:
        os.close(descriptor)  # frees the lock


def holder(path: Path) -> dict[str, Any]:
    """Return who holds the lock, or held it last: pid, host, started, first_started, attempt; empty if unreadable."""
    try:
        facts = json.loads(read_text(path))
    except (OSError, ValueError, RecursionError):
        return {}
    kinds = {"pid": int, "host": str, "started": str, "first_started": str, "attempt": int}
    sound = isinstance(facts, dict) and all(isinstance(facts.get(key), kind) for key, kind in kinds.items())
    return facts if sound else {}


def _unusable(path: Path, error: OSError) -> UserError:
    return UserError(f"cannot use {path}: {error.strerror}; remove it, once no process trains this run")


def _without_locks(path: Path, error: OSError) -> UserError:
    if error.errno not in NO_LOCKS:
        return _unusable(path, error)
    return UserError(
        f"{path.parent}: its file system knows no locks ({error.strerror}): choose another runs_root, or mount it with"
        " locks"
    )


class Lock:
    """Exclusive use of a run folder, as a context manager.

    Raises UserError when another process holds it, naming that process. The file stays behind on purpose:
    it tells that the run was started, how often and when first.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.attempt = 1  # counts the starts of this run
        self.first_started = ""
        self._descriptor = -1

    def __enter__(self) -> Self:
        try:
            self._descriptor = open_file(self.path, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise _unusable(self.path, error) from None
        HELD.add(self)
        try:
            self._acquire()
            before = holder(self.path)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            self.attempt = before.get("attempt", 0) + 1
            self.first_started = before.get("first_started", now)
            info = {"pid": os.getpid(), "host": socket.gethostname(), "started": now}
            info |= {"first_started": self.first_started, "attempt": self.attempt}
            text = json.dumps(info).encode()
            os.pwrite(self._descriptor, text, 0)
            os.ftruncate(self._descriptor, len(text))
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def check(self) -> None:
        """Raise LostLock unless the file at the path is still the one that is locked."""
        ours = os.fstat(self._descriptor)
        try:
            there = self.path.stat()
        except FileNotFoundError:
            raise LostLock(f"{self.path} was removed while the run went on") from None
        if (ours.st_dev, ours.st_ino) != (there.st_dev, there.st_ino):
            raise LostLock(f"{self.path} was replaced while the run went on")

    def _acquire(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < deadline:
                    time.sleep(0.02)
                    continue
                who = holder(self.path)
                raise UserError(
                    f"{self.path.parent} is running: process {who.get('pid', '?')} on"
                    f" {who.get('host', '?')} since {who.get('started', '?')}"
                ) from None
            except OSError as error:
                raise _without_locks(self.path, error) from None

    def close(self) -> None:
        """Leave the folder to others, where this process still holds it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1
        HELD.discard(self)
