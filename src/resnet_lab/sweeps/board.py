"""What a sweep shows: one live table on a terminal, plain lines elsewhere, a table at the end."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from resnet_lab.durations import said
from resnet_lab.errors import several
from resnet_lab.runs.progress import seconds_left
from resnet_lab.sweeps.jobs import ALREADY, ELSEWHERE, FAILED, FINISHED, RUNNING, STOPPED, WAITING, Job, count

COLOURS = {RUNNING: "cyan", FINISHED: "green", FAILED: "red", ALREADY: "green", STOPPED: "yellow"}
REFRESH = 0.5  # seconds between two pictures of the live table
HEARTBEAT = 60.0  # seconds between two plain lines of a running run
ASK = 5.0  # seconds between two looks at how long the rest will take
WIDTH = 1000  # columns of what goes to a file: a table takes what it needs


class Board:
    """Shows a sweep while it runs; a context manager."""

    def __init__(self, jobs: Sequence[Job], console: Console | None = None) -> None:
        self._jobs = jobs
        self._console = console or lines_console()
        self._message = ""
        self._drawn = 0.0
        self._asked, self._said, self._at_once = -ASK, "", 1
        self._told: dict[Job, float] = {}  # when a plain line last told of a running run
        self._live = (
            Live(console=self._console, auto_refresh=False, transient=True)
            if self._console.is_terminal
            else None
        )

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def say(self, message: str) -> None:
        """A line about the sweep as a whole."""
        self._message = message
        if self._live:
            self.refresh(now=True)
        else:
            self._line(message)

    def changed(self, job: Job) -> None:
        """A run began or ended."""
        self._message = ""
        if self._live:
            self.refresh(now=True)
            return
        self._told[job] = time.monotonic()
        done = count(self._jobs, FINISHED, FAILED, ALREADY)
        of = "" if job.status in (RUNNING, ELSEWHERE, WAITING) else f"[{done}/{len(self._jobs)}] "
        left = f"; {left}" if of and (left := self._left(now=True)) else ""
        self._line(f"{of}{job.name} {job.status}{_tail(job)}{left}")

    def refresh(self, now: bool = False) -> None:
        """Draw the table again when it is time, or tell of the runs that have been quiet for long."""
        moment = time.monotonic()
        if self._live and (now or moment >= self._drawn + REFRESH):
            self._drawn = moment
            self._live.update(self._picture(), refresh=True)
        elif not self._live:
            for job, told in self._told.items():
                if job.status == RUNNING and moment >= told + HEARTBEAT:
                    self._told[job] = moment
                    left = f"; of the sweep {left}" if (left := self._left()) else ""
                    self._line(f"{job.name} {job.status}{_tail(job)}{left}")

    def _left(self, now: bool = False) -> str:
        """How long the rest will take, as ``about 12 min left``; empty while nobody knows, or nothing is left."""
        moment = time.monotonic()
        if now or moment >= self._asked + ASK:
            self._asked = moment
            running, waiting = count(self._jobs, RUNNING), count(self._jobs, RUNNING, WAITING)
            counted = (RUNNING, WAITING, FINISHED, ALREADY)
            far = [job.far() for job in self._jobs if job.status in counted]
            self._at_once = max(self._at_once, running)
            left = seconds_left(far, self._at_once) if waiting else None
            self._said = "" if left is None else f"about {said(left)} left"
        return self._said

    def _picture(self) -> Group:
        """The head count, then the runs: those under way first, as many as the terminal's height holds."""
        order = [RUNNING, FAILED, STOPPED, ELSEWHERE, FINISHED, WAITING, ALREADY]
        shown = sorted(self._jobs, key=lambda job: order.index(job.status))[: self._console.height - 7]
        counts = [f"{count(self._jobs, status)} {status}" for status in order if count(self._jobs, status)]
        if left := self._left():
            counts.append(left)
        more = len(self._jobs) - len(shown)
        foot = [f"and {more} more"] if more else []
        foot += [self._message] if self._message else []
        return Group(Text(", ".join(counts)), run_table(shown), *foot)

    def _line(self, text: str) -> None:
        self._console.print(Text(f"{time.strftime('%H:%M:%S')} {text}"), soft_wrap=True)


def run_table(jobs: Sequence[Job]) -> Table:
    """One row a run: name, status, test error in per cent, seconds, images/s, memory, and what there is to tell."""
    table = Table(box=None, pad_edge=False)
    for name in ("run", "status"):
        table.add_column(name, no_wrap=True)
    for name in ("test error", "seconds", "images/s", "memory"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for job in jobs:
        error = job.test_error() if job.status != WAITING else None
        speed = job.far().speed if job.status != WAITING else None
        memory = job.memory() if job.status in (FINISHED, ALREADY) else None
        table.add_row(
            Text(job.name),
            Text(job.status, style=COLOURS.get(job.status, "")),
            "" if error is None else f"{error:.2f} %",
            "" if _seconds(job) is None else f"{_seconds(job):.0f}",
            "" if speed is None else f"{speed:,.0f}",
            "" if memory is None else f"{memory:,.0f} MiB",
            Text(_running(job) if job.status == RUNNING else job.told),
        )
    return table


def print_summary(jobs: Sequence[Job], console: Console | None = None) -> None:
    """The table at the end of a sweep, failures last, where they are seen."""
    console = console or lines_console()
    order = [ALREADY, FINISHED, ELSEWHERE, WAITING, STOPPED, FAILED]
    console.print(run_table(sorted(jobs, key=lambda job: order.index(job.status))))
    counts = [f"{count(jobs, status)} {status}" for status in order if count(jobs, status)]
    console.print(Text(f"{several(len(jobs), 'run')}: {', '.join(counts)}"))
    if count(jobs, FAILED, STOPPED, WAITING, ELSEWHERE):
        console.print(Text("the same command goes on where each of them stopped"))


def lines_console() -> Console:
    """A terminal as it is; elsewhere wide enough that no line of a table is cut."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=max(WIDTH, console.width))


def _tail(job: Job) -> str:
    """What follows the status in a plain line."""
    if job.told:
        return f": {job.told}"
    told = [_epoch(job), *job.signs()] if job.status == RUNNING else []
    error = job.test_error()
    told += [f"test error {error:.2f} %"] if error is not None else []
    told += [f"{job.seconds:.0f} s"] if job.seconds is not None else []
    return f" {', '.join(filter(None, told))}".rstrip()


def _running(job: Job) -> str:
    """How far a running run is, and the signs that it will fail."""
    return "; ".join(filter(None, (_epoch(job), *job.signs())))


def _epoch(job: Job) -> str:
    """How far a running run is, as `epoch 3 of 12, train error 4.10 %`."""
    train = job.latest("train/error")
    return job.far().epoch + ("" if train is None else f", train error {train:.2f} %")


def _seconds(job: Job) -> float | None:
    return time.monotonic() - job.began if job.status == RUNNING else job.seconds
