"""One run of a sweep as the sweep sees it: its folder, its status, and what to tell of it. Free of torch."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from resnet_lab.columns import run_names
from resnet_lab.config.identity import identity_part, path_of
from resnet_lab.config.schema import TrainConfig
from resnet_lab.errors import UserError
from resnet_lab.fields import flatten
from resnet_lab.files import Watched, tail, write_text
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.history import Columns, latest, read_or_empty
from resnet_lab.runs.lock import holder
from resnet_lab.runs.progress import Progress, sign_of_disk, sign_of_losses, sign_of_silence
from resnet_lab.runs.record import Record, State
from resnet_lab.runs.recording import lacking

PATIENCE = 1.0  # seconds that a killed process may take to let go of its lock


@dataclass(eq=False)
class Job:
    """A run and how far it is."""

    config: TrainConfig
    folder: RunFolder
    status: State = State.WAITING
    remark: str = ""  # why it failed, or what it lacks, in one line
    began: float = field(default=0.0, repr=False)  # time.monotonic()
    seconds: float | None = None  # from start to end
    title: str = ""  # what it is called among the others of its sweep

    @classmethod
    def of(cls, config: TrainConfig, cores: int | None = None, *, retry_failed: bool = False) -> "Job":
        """Return the job of a configuration, whose folder is made; `cores` that a new run may have, None: all.

        A run that diverged is an answer, and not trained again unless `retry_failed`. One that is damaged has failed,
        and costs no other run.
        """
        job = cls(config, RunFolder(path_of(config)))
        try:
            folder = job.folder = RunFolder.create(config, cores)
            state = folder.state()
            if state == State.FINISHED:
                job.status, job.remark = State.ALREADY, lacking(config, folder.record(), folder.path)
            elif state == State.RUNNING:
                job.status, job.remark = State.ELSEWHERE, _holder(job.folder)
            elif job.diverged and not retry_failed:
                job.status = State.ALREADY
                job.remark = (
                    f"diverged, so it is not trained again without --retry-failed: {job._last_error()}"
                )
            else:
                job.config = folder.made or config  # with its threads
                job.folder.check()
        except UserError as error:
            job.status, job.remark = State.FAILED, str(error)
        return job

    @classmethod
    def left(cls, config: TrainConfig) -> "Job":
        """Return the job of a configuration as another process left it."""
        job = cls(config, RunFolder(path_of(config)))
        job.settle()
        return job

    @property
    def diverged(self) -> bool:
        """Return whether it ended because the loss was no longer finite."""
        return self._failure == "nonfinite_loss"

    @property
    def pruned(self) -> bool:
        """Return whether a search ended it because earlier trials were better."""
        return self._failure == "pruned"

    @property
    def _failure(self) -> str | None:
        error = self._record.error
        return error.kind if error else None

    @property
    def name(self) -> str:
        return self.title or self.folder.path.name

    def start(self) -> None:
        self.status, self.remark, self.began = State.RUNNING, "", time.monotonic()

    def settle(self, how: str = "") -> None:
        """Read from the folder what became of the run; `how` is what its launcher saw, "" for nothing odd."""
        self.seconds = time.monotonic() - self.began if self.began else None
        deadline = time.monotonic() + PATIENCE
        try:
            while (state := self.folder.state()) == State.RUNNING and time.monotonic() < deadline:
                time.sleep(0.02)
        except UserError as error:  # the folder was damaged meanwhile
            self.status, self.remark = State.FAILED, str(error)
            return
        if state == State.FINISHED:
            self.status = State.FINISHED
        elif state == State.RUNNING:
            self.status, self.remark = State.ELSEWHERE, _holder(self.folder)
        else:
            self.status = State.STOPPED if self.pruned else State.FAILED
            self.remark = how or self._last_error() or f"ended without a record: {self._last_words()}"

    def _last_error(self) -> str:
        error = self._record.error
        return error.message if error else ""

    def given_up(self) -> bool:
        """Return whether the other process has let go of the run: it is finished, it failed, or it waits to go on."""
        try:
            state = self.folder.state()
        except UserError:
            state = State.FAILED  # it was damaged meanwhile
        if state == State.RUNNING:
            return False
        self.remark = ""
        if state in (State.FINISHED, State.FAILED):
            self.settle()
        else:
            self.status, self.remark = State.WAITING, "left by the other process"
        return True

    def far(self) -> Progress:
        """Return how far it is, and its images per second."""
        cost = self._record.cost if self.status in (State.FINISHED, State.ALREADY) else None
        return Progress.of(self._choices, self._history.now(), cost)

    def curve(self, metric: str) -> list[float]:
        """Return a metric after each epoch so far, nan where it was not measured."""
        return self._history.now().get(metric, [])

    def latest(self, metric: str) -> float | None:
        """Return a metric of the last epoch so far that has it."""
        return latest(self._history.now(), metric)

    def signs(self) -> list[str]:
        """Return warnings that a running run is about to fail."""
        epochs = self._history.now()
        found = (
            sign_of_losses(epochs.get("train/loss", [])),
            sign_of_silence(self.folder.history_file, epochs),
            sign_of_disk(self.folder.path),
        )
        return [sign for sign in found if sign]

    def memory(self) -> float | None:
        """Return the peak memory (MiB) of a run that has finished."""
        return self._record.cost.peak_memory_mib

    @cached_property
    def _choices(self) -> dict[str, object]:
        return flatten(self.config)

    def objective(self) -> float | None:
        """Return what a search optimises: the objective on the validation images, or, without any, on the test images.

        A run that diverged is as bad as can be. None for what says nothing of its configuration, for example of a run
        that was killed.
        """
        if self.status in (State.FAILED, State.ALREADY) and self.diverged:
            worst = 100.0 if self.config.objective.metric.endswith("error") else math.inf
            return worst if self.config.objective.mode == "min" else -worst
        if self.status not in (State.FINISHED, State.ALREADY):
            return None
        last = self._record.last
        return last.get(self.config.objective.validated, last.get(self.config.objective.metric))

    def result(self) -> float | None:
        """Return the objective, of the finished run or of the last epoch so far."""
        if self.status in (State.FINISHED, State.ALREADY):
            return self._record.last.get(self.config.objective.metric)
        return self.latest(self.config.objective.metric)

    @cached_property
    def _history(self) -> Watched[Columns]:
        history = self.folder.history_file
        return Watched(lambda: read_or_empty(history), history)

    @property
    def _record(self) -> Record:
        """Return what the run left; empty where nothing can be read."""
        try:
            return self.folder.record() or Record()
        except UserError:
            return Record()

    def _last_words(self) -> str:
        spoken = [line.strip() for line in tail(self.folder.log_file).split("\n") if line.strip()]
        return spoken[-1][:200] if spoken else f"{self.folder.log_file} is empty"


def _holder(folder: RunFolder) -> str:
    who = holder(folder.lock_file)
    return f"waiting for process {who.get('pid', '?')} on {who.get('host', '?')}"


def count(jobs: Sequence[Job], *statuses: State) -> int:
    return sum(job.status in statuses for job in jobs)


def name_jobs(jobs: Sequence[Job], before: Sequence[Job] = ()) -> None:
    """Name runs by what varies among them, and among those before; what has not begun finds its name in its folder."""
    every = [*before, *jobs]
    found = run_names(
        [job.config.model.label for job in every],
        [_varying(job.config) for job in every],
        [job.config.seed for job in every],
        [job.folder.path.name for job in every],
    )
    for job, name in zip(every, found, strict=True):
        job.title = name
        if job.status == State.WAITING:
            try:
                write_text(job.folder.title_file, f"{name}\n")
            except OSError as error:
                job.status, job.remark = State.FAILED, f"cannot write {job.folder.path}: {error.strerror}"


def _varying(config: TrainConfig) -> dict[str, object]:
    parts = identity_part(config)
    return {key: value for key, value in parts.items() if key != "seed"} | {
        f"trainer.{key}": getattr(config.trainer, key) for key in ("devices", "num_nodes", "threads")
    }
