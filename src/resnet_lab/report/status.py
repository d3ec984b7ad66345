"""Show how far the runs below a folder are, wherever they are trained: the command `status`. Free of torch."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from resnet_lab.columns import COLUMNS, seconds
from resnet_lab.errors import several
from resnet_lab.report.collect import FoundRun
from resnet_lab.report.compare import names_of_runs, objective_of
from resnet_lab.report.publish import gathered
from resnet_lab.report.tabular import Table
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.history import latest
from resnet_lab.runs.lock import holder
from resnet_lab.runs.progress import Progress, seconds_left, sign_of_disk, sign_of_losses, sign_of_silence
from resnet_lab.runs.record import State
from resnet_lab.terminal import fitted, lines_console, notes, said

ORDER = (State.RUNNING, State.FAILED, State.INTERRUPTED, State.NEW, State.STOPPED, State.FINISHED)
SPEED, MEMORY = COLUMNS["images_per_second"], COLUMNS["peak_memory_mib"]
WORDS = ("run", "state", "epoch", "folder")
ENDED = (State.FAILED, State.STOPPED)
MOST = 40  # finished runs beyond which only their number is shown


@dataclass(frozen=True)
class StatusRow:
    """A run as the table shows it."""

    run: FoundRun
    name: str  # among the others

    @cached_property
    def far(self) -> Progress:
        ended = self.run.state == State.FINISHED
        return Progress.of(self.run.choices, self.run.history, self.run.record.cost if ended else None)

    @property
    def remark(self) -> str:
        """Say who trains it, what stopped it, or the signs that something will."""
        if error := self.run.record.error:
            return f"{error.kind}: {error.message}"
        if self.run.state != State.RUNNING:
            return ""
        folder = RunFolder(self.run.path)
        who = holder(folder.lock_file)
        signs = (
            sign_of_losses(self.run.history.get("train/loss", [])),
            sign_of_silence(folder.history_file, self.run.history),
        )
        return "; ".join([f"process {who.get('pid', '?')} on {who.get('host', '?')}", *filter(None, signs)])


def status(folders: Sequence[Path]) -> int:
    """Print how far each run is and how long the rest will take, and return 1 if one has failed, otherwise 0."""
    runs = gathered(folders)
    lines = [StatusRow(run, name) for run, name in zip(runs, names_of_runs(runs), strict=True)]
    lines.sort(key=lambda line: ORDER.index(line.run.state))
    finished = sum(line.run.state == State.FINISHED for line in lines)
    left_out = max(0, finished - MOST)
    _print(table(lines[: len(lines) - left_out]))
    for note in notes({line.name: line.remark for line in lines}, "the log.txt of each run says why"):
        print(note)
    if left_out:
        print(f"and {left_out} more that are finished")
    print(headline(lines))
    if sign := sign_of_disk(folders[0]):
        print(sign)
    return 1 if any(line.run.state == State.FAILED for line in lines) else 0


def headline(lines: Sequence[StatusRow]) -> str:
    """Return a line such as ``8 runs: 2 running, 1 new, 5 finished; about 12 min left, 2 at a time``."""
    counts = Counter(line.run.state for line in lines)
    words = ", ".join(f"{counts[state]} {state}" for state in ORDER if counts[state])
    head = f"{several(len(lines), 'run')}: {words}"
    ended = [line.far for line in lines if line.run.state == State.FINISHED]
    waiting = [line.far for line in lines if line.run.state not in (*ENDED, State.FINISHED)]
    running = counts[State.RUNNING]
    left = seconds_left([*waiting, *ended], running)
    if not waiting or left is None:
        return head
    how = f"{running} at a time" if running else "one at a time, once they are started again"
    return f"{head}; about {said(left)} left, {how}"


def table(lines: Sequence[StatusRow]) -> list[dict[str, str]]:
    """Return a row per run: state, epoch, result, seconds, images a second, memory."""
    title, *others = {objective_of(line.run.choices).title for line in lines}
    title = "result" if others else title
    return [
        {
            "run": line.name,
            "state": line.run.state,
            "epoch": line.far.epoch.removeprefix("epoch "),
            title: _result(line.run),
            "seconds": seconds(line.far.seconds) if line.far.seconds else "",
            SPEED.unit: "" if line.far.speed is None else SPEED.text(line.far.speed),
            MEMORY.title: "" if (peak := MEMORY.of(line.run.record)) is None else MEMORY.text(peak),
            "folder": line.run.path.name,
        }
        for line in lines
    ]


def _print(rows: Sequence[dict[str, str]]) -> None:
    """Print the rows as wide as the terminal is; as Markdown elsewhere."""
    if sys.stdout.isatty():
        console, spare = lines_console(), ("folder", MEMORY.title, SPEED.unit, "seconds")
        console.print(fitted(rows, console, words=WORDS, spare=spare)[0])
    else:
        print(f"\n{Table.of(rows, words=set(WORDS)).markdown()}")


def _result(run: FoundRun) -> str:
    """Return what the finished run is judged by, or that of the last epoch so far."""
    column = objective_of(run.choices)
    if run.state == State.FINISHED:
        return column.text(run.last(column.key))
    last = latest(run.history, column.key)
    return "" if last is None else column.text(last)
