"""Bring every run of a sweep to its end, wherever the runs are executed. Free of torch."""

import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING

from resnet_lab.config.schema import TrainConfig
from resnet_lab.fields import number
from resnet_lab.runs.record import State
from resnet_lab.sweeps.jobs import Job

if TYPE_CHECKING:
    from resnet_lab.sweeps.board import Board

PAUSE = 0.05  # seconds between two looks at what ended
ASK = 1.0  # seconds between two looks at what other processes train


@dataclass
class PlaceOptions:
    """The keys of every place of ours."""

    max_failures: int | None = number(None, least=1)  # after this many, no further run begins


class Place(ABC):
    """Where runs are executed: this machine, a SLURM cluster, a Ray cluster."""

    @abstractmethod
    def cores(self, config: TrainConfig) -> int:
        """Return the cores that a run may have here on each node; UserError when it can never run here."""

    @abstractmethod
    def open(self, jobs: Sequence[Job]) -> None:
        """Get ready for these runs, or for these as well; UserError when one can never run here."""

    @abstractmethod
    def start(self, job: Job) -> bool:
        """Begin a run; False while there is no room for it."""

    def take_back(self, jobs: Sequence[Job]) -> None:  # noqa: B027 (most places have no queue)
        """Cancel runs that wait here and have not started."""

    @abstractmethod
    def ended(self) -> Iterator[tuple[Job, str]]:
        """Yield the runs that ended since the last call, each with what was odd about its end in one line."""

    @abstractmethod
    def close(self) -> None:
        """Stop what still runs and leave nothing behind; called again, it does so without waiting."""


def run_sweep(jobs: Sequence[Job], place: Place, board: "Board", max_failures: int | None = None) -> None:
    """Run the waiting jobs, in order, wait for those that another process trains, and tell the board.

    After `max_failures` failed runs no further one begins, and those that run go on to their end.
    A run that fails costs only itself; one that another process gives up is taken over. Ctrl-C, SIGTERM and SIGHUP
    stop the running ones and raise KeyboardInterrupt; a second one stops them at once.
    """
    with _interrupts(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as ignored, board:
        try:
            _run_all(jobs, place, board, max_failures)
        except KeyboardInterrupt:
            board.say("stopping the runs; once more to stop them at once")
            raise
        finally:
            try:
                place.close()
            except KeyboardInterrupt:
                ignored.set()
                place.close()
            ignored.set()
            for job in jobs:
                if job.status == State.RUNNING:
                    job.settle("interrupted")
                    job.status = State.STOPPED if job.status == State.FAILED else job.status


def _run_all(jobs: Sequence[Job], place: Place, board: "Board", max_failures: int | None) -> None:
    waiting = [job for job in jobs if job.status == State.WAITING]
    elsewhere = [job for job in jobs if job.status == State.ELSEWHERE]
    running = failed = 0
    if waiting:
        board.say(f"{len(waiting)} of {len(jobs)} runs to do: starting")
        place.open(waiting)
    for job in elsewhere:
        board.changed(job)
    asked = time.monotonic()
    while waiting or running or elsewhere:
        while waiting and place.start(waiting[0]):
            waiting[0].start()
            board.changed(waiting.pop(0))
            running += 1
        for job, how in place.ended():
            job.settle(how)
            board.changed(job)
            running -= 1
            failed += job.status == State.FAILED
            if job.status == State.ELSEWHERE:
                elsewhere.append(job)
        if waiting and max_failures is not None and failed >= max_failures:
            board.say(f"{failed} failed (hydra.launcher.max_failures): no further run begins")
            place.take_back(waiting)
            waiting = []
        if elsewhere and time.monotonic() > asked + ASK:
            asked = time.monotonic()
            for job in [job for job in elsewhere if job.given_up()]:
                elsewhere.remove(job)
                board.changed(job)
                if job.status == State.WAITING:
                    place.open([job])
                    waiting.append(job)
        board.refresh()
        time.sleep(PAUSE)


@contextmanager
def _interrupts(*numbers: signal.Signals) -> Iterator[Event]:
    """Let each of these signals end a sweep as tidily as Ctrl-C; one that was ignored before stays so, as by nohup.

    They are ignored once the event is set, while what must not be left half done is done.
    """
    ignored = Event()

    def interrupt(number: int, _: FrameType | None) -> None:
        if not ignored.is_set():
            raise KeyboardInterrupt(signal.Signals(number).name)

    heard = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in heard}
    try:
        yield ignored
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
