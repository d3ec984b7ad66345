"""One run of a sweep as the sweep sees it: its folder, its status, and what to tell of it. Free of torch."""

import csv
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from resnet_lab.config.schema import TrainConfig
from resnet_lab.runs.folder import RunFolder

WAITING = "waiting"
RUNNING = "running"
FINISHED = "finished"
FAILED = "failed"
ALREADY = "already there"  # finished before this sweep began
ELSEWHERE = "running elsewhere"  # another process trains it
STOPPED = "stopped"  # with the sweep itself: nothing of its own went wrong

PATIENCE = 1.0  # seconds that a killed process may take to let go of its lock


@dataclass(eq=False)
class Job:
    """A run and how far it is."""

    config: TrainConfig
    folder: RunFolder
    status: str = WAITING
    told: str = ""  # why it failed, in one line
    began: float = field(default=0.0, repr=False)  # time.monotonic()
    seconds: float | None = None  # from start to end

    @classmethod
    def of(cls, config: TrainConfig) -> "Job":
        """The job of a configuration, whose folder is made."""
        job = cls(config, RunFolder.create(config))
        state = job.folder.state()
        if state == "finished":
            job.status = ALREADY
        elif state == "running":
            job.status = ELSEWHERE
        return job

    @property
    def name(self) -> str:
        return self.folder.path.name

    def start(self) -> None:
        self.status, self.began = RUNNING, time.monotonic()

    def settle(self, how: str = "") -> None:
        """Read from the folder what became of the run; `how` is what its launcher saw, "" for nothing odd."""
        self.seconds = time.monotonic() - self.began if self.began else None
        deadline = time.monotonic() + PATIENCE
        while (state := self.folder.state()) == "running" and time.monotonic() < deadline:
            time.sleep(0.02)
        if state == "finished":
            self.status = FINISHED
        elif state == "running":
            self.status = ELSEWHERE
        else:
            self.status = FAILED
            error = self._error() if state == "failed" else None
            self.told = how or (error or {}).get("message") or f"ended without a record: {self._last_words()}"

    def progress(self) -> dict[str, float]:
        return last_row(self.folder)

    def objective(self) -> float | None:
        """What a search minimises: the validation error in per cent, or, without one, the test error.

        A run that diverged is as bad as can be: 100. None for what says nothing of its configuration, as a
        run that was killed.
        """
        if self.status == FAILED and (self._error() or {}).get("kind") == "nonfinite_loss":
            return 100.0
        if self.status not in (FINISHED, ALREADY):
            return None
        last: dict[str, Any] = (self.folder.record() or {}).get("last", {})
        error = last.get("val/error", last.get("test/error"))
        return None if error is None else float(error)

    def test_error(self) -> float | None:
        """In per cent: of the finished run, or of the last epoch so far."""
        if self.status in (FINISHED, ALREADY):
            error = (self.folder.record() or {}).get("last", {}).get("test/error")
            return None if error is None else float(error)
        return self.progress().get("test/error")

    def _error(self) -> dict[str, str] | None:
        return (self.folder.record() or {}).get("error")

    def _last_words(self) -> str:
        try:
            lines = self.folder.log_file.read_text(errors="replace").split("\n")
        except OSError:
            lines = []
        spoken = [line.strip() for line in lines if line.strip()]
        return spoken[-1][:200] if spoken else f"{self.folder.log_file} is empty"


def last_row(folder: RunFolder) -> dict[str, float]:
    """The last row of history.csv, without what is empty in it."""
    try:
        with folder.history_file.open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if None not in row.values()]
    except OSError:
        return {}
    return {key: float(value) for key, value in rows[-1].items() if value} if rows else {}


def count(jobs: Sequence[Job], *statuses: str) -> int:
    return sum(job.status in statuses for job in jobs)
