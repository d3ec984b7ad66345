"""Bring every run of a sweep to its end, wherever the runs are executed. Free of torch."""

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from resnet_lab.sweeps.board import Board
from resnet_lab.sweeps.jobs import RUNNING, STOPPED, WAITING, Job

PAUSE = 0.05  # seconds between two looks at what ended


class Place(Protocol):
    """Where runs are executed: this machine, a SLURM cluster, a Ray cluster."""

    def open(self, jobs: Sequence[Job]) -> None:
        """Get ready for these runs; UserError when one can never run here."""

    def start(self, job: Job) -> bool:
        """Begin a run; False while there is no room for it."""

    def ended(self) -> Iterator[tuple[Job, str]]:
        """The runs that ended since the last call, each with what was odd about its end in one line."""

    def close(self) -> None:
        """Stop what still runs and leave nothing behind."""


def run_sweep(jobs: Sequence[Job], place: Place, board: Board) -> None:
    """Run the waiting jobs, in order, and tell the board what happens.

    A run that fails costs only itself. Ctrl-C and SIGTERM stop the running ones and raise KeyboardInterrupt.
    """
    waiting = [job for job in jobs if job.status == WAITING]
    running = 0
    with board, _terminated_like_interrupted():
        try:
            if waiting:
                board.say(f"{len(waiting)} of {len(jobs)} runs to do: starting")
                place.open(waiting)
            while waiting or running:
                while waiting and place.start(waiting[0]):
                    waiting[0].start()
                    board.changed(waiting.pop(0))
                    running += 1
                for job, how in place.ended():
                    job.settle(how)
                    board.changed(job)
                    running -= 1
                board.refresh()
                time.sleep(PAUSE)
        except KeyboardInterrupt:
            board.say("stopping the runs; once more to stop them at once")
            raise
        finally:
            place.close()
            for job in jobs:
                if job.status == RUNNING:
                    job.settle("stopped with the sweep")
                    job.status = STOPPED if job.status == "failed" else job.status


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end a sweep as tidily as Ctrl-C."""

    def interrupt(number: int, _: FrameType | None) -> None:
        raise KeyboardInterrupt(signal.Signals(number).name)

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
