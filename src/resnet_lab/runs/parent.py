"""A process of a run ends with the one that started it, also where that one was killed. Standard library only."""

import os
import signal
import threading
import time

GRACE = 20.0  # seconds from SIGTERM to SIGKILL: enough for a last checkpoint
PARENT = "RESNET_LAB_PARENT"  # in the environment of a run's process: the pid of the one that started it
PAUSE = 0.2  # seconds between two looks


def end_with(parent: int) -> None:
    """Watch the parent from a thread: when it is gone, this process is asked to stop, and killed after GRACE."""
    threading.Thread(target=_watch, args=(parent,), name="parent", daemon=True).start()


def end_with_named_parent() -> None:
    """End this process with the parent that the environment names, if it names one."""
    if parent := os.environ.pop(PARENT, None):
        end_with(int(parent))


def _watch(parent: int) -> None:
    while os.getppid() == parent:  # that of an orphan is another
        time.sleep(PAUSE)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os.kill(os.getpid(), signal.SIGKILL)
