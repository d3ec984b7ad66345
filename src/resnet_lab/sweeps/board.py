"""What a sweep shows: one live table on a terminal, plain lines elsewhere, a table at the end."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from resnet_lab.columns import COLUMNS
from resnet_lab.errors import several
from resnet_lab.extras import registered
from resnet_lab.runs.progress import seconds_left
from resnet_lab.runs.record import State
from resnet_lab.sweeps.jobs import Job, count
from resnet_lab.terminal import NOTES, fitted, lines_console, notes, said

COLOURS: dict[str, str] = {
    State.RUNNING: "cyan",
    State.FINISHED: "green",
    State.FAILED: "red",
    State.ALREADY: "green",
    State.STOPPED: "yellow",
}
LIVE_ORDER = (
    *(State.RUNNING, State.FAILED, State.STOPPED, State.ELSEWHERE),
    *(State.FINISHED, State.WAITING, State.ALREADY),
)
END_ORDER = (
    *(State.ALREADY, State.FINISHED, State.ELSEWHERE),
    *(State.WAITING, State.STOPPED, State.FAILED),
)
SPEED, MEMORY = COLUMNS["images_per_second"], COLUMNS["peak_memory_mib"]
REFRESH = 0.5  # seconds between two pictures of the live table
HEARTBEAT = 60.0  # seconds between two plain lines of a running run
ASK = 5.0  # seconds between two looks at how long the rest will take
LIVE_CAUSES = 3  # lines below the live table that tell why runs failed


class Board:
    """Shows a sweep while it runs; a context manager."""

    def __init__(self, jobs: Sequence[Job], console: Console | None = None) -> None:
        self._jobs = jobs
        self._console = console or lines_console()
        self._message = self._lost_said = ""
        self._drawn = 0.0
        self._asked, self._said, self._at_once = -ASK, "", 1
        self._last_line: dict[Job, float] = {}  # when a plain line last showed a running run
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
        """Show a line about the sweep as a whole."""
        self._message = message
        if self._live:
            self.refresh(now=True)
        else:
            self._line(message)

    def changed(self, job: Job) -> None:
        """Show that a run began or ended."""
        self._message = ""
        if self._live:
            self.refresh(now=True)
            return
        self._last_line[job] = time.monotonic()
        if job.status in (State.RUNNING, State.ELSEWHERE, State.WAITING):
            self._tell(job)
        else:
            done = count(self._jobs, State.FINISHED, State.FAILED, State.ALREADY, State.STOPPED)
            self._tell(job, f"[{done}/{len(self._jobs)}] ", self._left(now=True))

    def refresh(self, now: bool = False) -> None:
        """Draw the table again when it is time, or tell of the runs that have been quiet for long."""
        moment = time.monotonic()
        if self._live and (now or moment >= self._drawn + REFRESH):
            self._drawn = moment
            self._live.update(self._picture(), refresh=True)
        elif not self._live:
            for job, words in self._last_line.items():
                if job.status == State.RUNNING and moment >= words + HEARTBEAT:
                    self._last_line[job] = moment
                    self._tell(job, left=f"of the sweep {left}" if (left := self._left()) else "")

    def _tell(self, job: Job, begin: str = "", left: str = "") -> None:
        """Print a plain line of a run, and what a tracker has lost since the last one."""
        self._line(f"{begin}{job.name} {job.status}{_tail(job)}{f'; {left}' if left else ''}")
        if (line := self._lost()) and line != self._lost_said:
            self._line(line)
        self._lost_said = line

    def _left(self, now: bool = False) -> str:
        """Return for example ``about 12 min left``; empty while nobody knows, or nothing is left."""
        moment = time.monotonic()
        if now or moment >= self._asked + ASK:
            self._asked = moment
            counted = (State.RUNNING, State.WAITING, State.FINISHED, State.ALREADY)
            far = [job.far() for job in self._jobs if job.status in counted]
            self._at_once = max(self._at_once, count(self._jobs, State.RUNNING))
            left = seconds_left(far, self._at_once)
            nothing = left is None or not count(self._jobs, State.RUNNING, State.WAITING)
            self._said = "" if nothing else f"about {said(left or 0)} left"
        return self._said

    def _picture(self) -> Group:
        """Return the head count, then the runs: those under way first, as many as the terminal's height holds."""
        lines = causes(sorted(self._jobs, key=lambda job: job.status != State.RUNNING), most=LIVE_CAUSES)
        room = self._console.height - 7 - len(lines)
        shown = sorted(self._jobs, key=lambda job: LIVE_ORDER.index(job.status))[: max(1, room)]
        head = ", ".join(filter(None, (_counts(self._jobs, LIVE_ORDER), self._left())))
        more = len(self._jobs) - len(shown)
        foot = filter(None, (f"and {more} more" if more else "", self._lost(), self._message))
        return Group(Text(head), run_table(shown, self._console), *lines, *foot)

    def _lost(self) -> str:
        """Return what the extras say while the runs train: how many a tracker has lost."""
        folders = [job.folder.path for job in self._jobs if job.config.logger.trackers]
        return "; ".join(line for tell in registered("during a sweep").values() for line in tell(folders))

    def _line(self, text: str) -> None:
        self._console.print(Text(f"{time.strftime('%H:%M:%S')} {text}"), soft_wrap=True)


def run_table(jobs: Sequence[Job], console: Console) -> Table:
    """Return one row a run: name, status, how far it is, the result, seconds, images/s and memory."""
    rows = []
    titles = {job.config.objective.column.heading for job in jobs}
    title = titles.pop() if len(titles) == 1 else "result"
    for job in jobs:
        running, begun = job.status == State.RUNNING, job.status != State.WAITING
        seconds = time.monotonic() - job.began if running else job.seconds
        speed = job.far().speed if begun else None
        memory = job.memory() if job.status in (State.FINISHED, State.ALREADY) else None
        rows.append(
            {
                "run": job.name,
                "status": job.status,
                "epoch": job.far().epoch.removeprefix("epoch ") if running else "",
                "train error": COLUMNS["train_error"].said(job.latest("train/error")) if running else "",
                title: job.config.objective.column.said(job.result() if begun else None),
                "seconds": "" if seconds is None else f"{seconds:,.0f}",
                SPEED.unit: "" if speed is None else SPEED.text(speed),
                MEMORY.heading: MEMORY.said(memory),
            }
        )
    spare = (MEMORY.heading, SPEED.unit, "train error", "seconds")
    return fitted(rows, console, words=("run", "status"), spare=spare, styles=COLOURS)[0]


def causes(jobs: Sequence[Job], most: int = NOTES) -> list[Text]:
    """Return what there is to say of runs, a line each: why they failed, what they lack, that they will fail."""
    words = {job.name: "; ".join(job.signs()) if job.status == State.RUNNING else job.remark for job in jobs}
    folder = jobs[0].folder.path.parent if jobs else ""
    return [Text(line) for line in notes(words, f"resnet-lab status {folder}", most)]


def print_summary(jobs: Sequence[Job], console: Console | None = None) -> None:
    """Print the table at the end of a sweep, its failures last, where they are seen, and their causes below it."""
    console = console or lines_console()
    ordered = sorted(jobs, key=lambda job: END_ORDER.index(job.status))
    console.print(run_table(ordered, console))
    for line in causes(ordered[::-1]):
        console.print(line, soft_wrap=True)
    console.print(Text(f"{several(len(jobs), 'run')}: {_counts(jobs, END_ORDER)}"))
    if any(job.status not in (State.FINISHED, State.ALREADY) and not job.pruned for job in jobs):
        console.print(Text("run the same command again to resume"))


def _counts(jobs: Sequence[Job], order: Sequence[State]) -> str:
    return ", ".join(f"{number} {status}" for status in order if (number := count(jobs, status)))


def _tail(job: Job) -> str:
    """Return what follows the status in a plain line, for example ``: killed``, or how far the run is."""
    if job.remark:
        return f": {job.remark}"
    words = []
    if job.status == State.RUNNING:
        error = COLUMNS["train_error"].said(job.latest("train/error"))
        words = [job.far().epoch, f"train error {error}" if error else "", *job.signs()]
    result = job.result()
    words.append("" if result is None else job.config.objective.said(result))
    words.append("" if job.seconds is None else f"{job.seconds:.0f} s")
    return f" {', '.join(filter(None, words))}".rstrip()
