"""How a run ends early: a signal waits for the end of a batch, and its process ends with the one that started it.

Standard library only.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

log = logging.getLogger(__name__)

OURS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # Ctrl-C, kill, and a terminal that is closed
ENDING = (*OURS, signal.SIGUSR1, signal.SIGUSR2)  # and what batch systems send some time before they kill
GRACE = 20.0  # seconds from SIGTERM to SIGKILL: enough for a last checkpoint
PARENT = "RESNET_LAB_PARENT"  # in the environment of a run's process: the pid of the one that started it
PAUSE = 0.2  # seconds between two looks


class Interrupted(Exception):
    """A signal ended the run between two batches; what was done is in the last checkpoint."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}; run again to go on")
        self.number = number


class Signals:
    """Holds back the signals of ENDING while a run trains. A second one of its kind acts at once."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {number: signal.getsignal(number) for number in ENDING}

    def hold(self) -> None:
        """Install our handlers and remember the others; outside the main thread do nothing."""
        for number, handler in self._before.items():
            ours_to_take = callable(handler) or number in OURS
            if (
                handler not in (None, signal.SIG_IGN) and ours_to_take
            ):  # what nohup or `trap ''` ignores stays ignored
                _set(number, self._note)

    def act(self) -> None:
        """Call the handler that a launcher installed (submitit's requeues the job), or else raise Interrupted."""
        number, self.received = self.received, None
        if number is None:
            return
        handler: Callable[[int, FrameType | None], Any] | int = self._before[number]
        if callable(handler) and handler is not signal.default_int_handler:
            handler(number, None)
            _set(number, self._note)  # the launcher let the run go on
        else:
            raise Interrupted(number)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.received = number
        _set(number, self._before[number])
        log.info("%s received: stopping after this batch", signal.Signals(number).name)


def killed_by(number: int) -> str:
    """Return what a signal did to a process, in words."""
    if number == signal.SIGKILL:
        return "killed by SIGKILL, as the kernel does when memory runs out"
    return f"killed by {signal.Signals(number).name}"


def _set(number: int, handler: Any) -> None:
    if threading.current_thread() is threading.main_thread() and handler is not None:
        signal.signal(number, handler)


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
