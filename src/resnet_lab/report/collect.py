"""Read the runs below a folder, whatever state they are in. Free of torch."""

import csv
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from resnet_lab.files import read_yaml
from resnet_lab.report.choices import FOLD, Choices, complete, model_of
from resnet_lab.report.walk import run_folders
from resnet_lab.report.words import as_the_paper_says
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.history import Columns, read_columns, read_or_empty
from resnet_lab.runs.record import Record, State

UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    RecursionError,
    csv.Error,
)


@dataclass(frozen=True)
class FoundRun:
    """One run folder as it was found."""

    path: Path
    state: State
    choices: Choices  # its configuration by dotted key, complete with defaults
    record: Record  # empty before the run has ended
    history: Columns  # a column of history.csv -> one value an epoch; nan where the cell is empty
    depth: int | None  # weighted layers as the papers count them; None of a net that they do not count
    kind: str  # of unit: plain, residual (basic, A), ...
    label: str  # as in resnet-20
    seed: int  # with the fold of a cross-validation

    @property
    def answers(self) -> str | None:
        """The paper's table that this run helps to answer, as in ``he2015/table6``."""
        return self.choices["answers"]

    @property
    def steps(self) -> Columns:
        """The columns of steps.csv, read anew with each call; empty for a run that wrote none."""
        return read_or_empty(self.path / "steps.csv")

    @property
    def iterations(self) -> int:
        """How many optimiser steps it has done, as far as its record or its history tells."""
        return int(self.record.last.get("iteration") or max(self.history.get("iteration", []), default=0))

    @property
    def error(self) -> str | None:
        """What stopped a failed run, in one word, as in ``out_of_memory``."""
        return self.record.error.kind if self.record.error else None

    def last(self, metric: str) -> float:
        """A metric at a finished run's last iteration, as in ``test/error`` (per cent); nan without one."""
        value = self.record.last.get(metric) if self.state == State.FINISHED else None
        return math.nan if value is None else float(value)


def to_stderr(line: str) -> None:
    print(f"resnet-lab: {line}", file=sys.stderr)


def collect(folder: Path, warn: Callable[[str], None] = to_stderr) -> list[FoundRun]:
    """Every run at or below a folder, in the order of their paths; links are followed, and each run is read once.

    A folder that cannot be read as a run is left out and costs one line to `warn`.
    """
    runs = []
    for path in sorted(run_folders(folder, warn)):
        try:
            runs.append(read(path))
        except UNREADABLE as error:
            reason = f"it has no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
            warn(f"left out {path}: {reason or type(error).__name__}")
    return runs


def read(path: Path) -> FoundRun:
    """One run folder. Raises one of UNREADABLE where it is none, or is damaged."""
    state, left = RunFolder(path).state_and_record()
    record = left or Record()
    RunFolder(path).check_left(*path.glob("*.csv"), record=record)
    config = record.config or read_yaml(path / "config.yaml")
    model = model_of(config)
    choices = complete(config, record)
    return FoundRun(
        path,
        state,
        choices,
        record,
        read_columns(path / "history.csv"),
        depth=model.paper_depth,
        kind=as_the_paper_says(record.model.kind or model.kind, choices["answers"]),
        label=record.model.label or model.label,
        seed=_replica(choices),
    )


def _replica(choices: Choices) -> int:
    """The seed; in a cross-validation a number that each seed and fold has for itself."""
    seed, fold = int(choices["seed"]), choices.get(FOLD)
    return seed if fold is None else seed * int(choices["data.folds"]) + int(fold)
