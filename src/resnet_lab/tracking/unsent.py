"""What W&B lacks of a run: a note in its folder, which goes once everything is there. Standard library only."""

import json
import os
import time
from collections.abc import Iterable
from pathlib import Path

from resnet_lab.files import read_text, write_text

NOTE = "wandb-unsent.json"  # in the run folder
LOOK = 0.2  # seconds between two looks


def note(folder: Path, why: str, pid: int | None = None) -> None:
    """Say that a process, by default this one, has not sent everything of a run, and why."""
    write_text(folder / NOTE, json.dumps({"why": why, "pid": os.getpid() if pid is None else pid}) + "\n")


def sent(folder: Path) -> None:
    """Take the note back."""
    (folder / NOTE).unlink(missing_ok=True)


def unsent(folder: Path) -> tuple[str, int] | None:
    """Return why W&B lacks a part of a run and the process that sends it; None if it lacks nothing."""
    try:
        found = json.loads(read_text(folder / NOTE))
        return str(found["why"]), int(found["pid"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return "its note cannot be read", 0


def waited_for(folders: Iterable[Path], seconds: float) -> list[Path]:
    """Return the run folders of which W&B lacks something, once nobody sends any more or after so many seconds."""
    left, deadline = list(folders), time.monotonic() + seconds
    while True:
        left = [folder for folder in left if unsent(folder) is not None]
        if time.monotonic() > deadline or not any(_alive((unsent(folder) or ("", 0))[1]) for folder in left):
            return left
        time.sleep(LOOK)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return pid > 0
