"""Signals that end a run wait for the end of a batch, so that a checkpoint is written first."""

import logging
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

log = logging.getLogger(__name__)

OURS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # Ctrl-C, kill, and a terminal that is closed
ENDING = (*OURS, signal.SIGUSR1, signal.SIGUSR2)  # and what batch systems send some time before they kill


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
        """Take over from whoever handles them now; nothing in a thread that may not."""
        for number, handler in self._before.items():
            ours_to_take = callable(handler) or number in OURS
            if handler not in (None, signal.SIG_IGN) and ours_to_take:  # nohup, and `trap ''`, hold
                _set(number, self._note)

    def act(self) -> None:
        """Raise Interrupted, or hand over to a launcher's own handler, as submitit's, which requeues."""
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
    """What a signal did to a process, in words."""
    if number == signal.SIGKILL:
        return "killed by SIGKILL, as the kernel does when memory runs out"
    return f"killed by {signal.Signals(number).name}"


def _set(number: int, handler: Any) -> None:
    if threading.current_thread() is threading.main_thread() and handler is not None:
        signal.signal(number, handler)
