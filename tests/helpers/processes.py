"""Which processes live, and waiting for what they do."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def alive(pid: int) -> bool:
    """Whether a process lives, and is no zombie that waits to be reaped."""
    told = _told(Path(f"/proc/{pid}/stat"))
    return bool(told) and told.rpartition(")")[2].split()[0] != "Z"


def processes_below(pid: int | None = None) -> list[int]:
    """The living children of a process, and theirs."""
    children = Path(f"/proc/{pid or os.getpid()}/task").glob("*/children")
    found = [int(child) for path in children for child in _told(path).split()]
    return [each for child in found for each in (child, *processes_below(child)) if alive(each)]


def _told(path: Path) -> str:
    """What the system tells of a process; empty once it has gone, also while it is asked."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def wait_for(condition: Callable[[], Any], seconds: float) -> Any:
    """The condition's value once it holds; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return value
