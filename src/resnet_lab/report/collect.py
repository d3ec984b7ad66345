"""Read the runs below a folder, whatever state they are in. Free of torch."""

import csv
import math
import os
import re
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from resnet_lab.files import read_yaml
from resnet_lab.models.orders import ORDERS
from resnet_lab.models.shortcuts import SHORTCUTS
from resnet_lab.report.choices import FOLD, Choices, complete, model_of
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.history import Columns, read_columns, read_or_empty
from resnet_lab.runs.record import Record, State

UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, csv.Error)
OF_WANDB = re.compile(r"(offline-)?run-\d{8}_\d{6}-|latest-run$")  # its folders have a config.yaml too
IN_HE2016 = {name: kind.in_he2016 for name, kind in (SHORTCUTS | ORDERS).items() if kind.in_he2016}
COMPARES_SHORTCUTS = "he2016/table1"  # where the identity is what the others are held against


@dataclass(frozen=True)
class FoundRun:
    """A run folder as it was found."""

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
        """Return the paper's table that this run helps to answer, for example ``he2015/table6``."""
        return self.choices["answers"]

    @property
    def steps(self) -> Columns:
        """Return the columns of steps.csv, read anew with each call; empty for a run that wrote none."""
        return read_or_empty(self.path / "steps.csv")

    @property
    def iterations(self) -> int:
        """Return how many optimiser steps it has done, as far as its record or its history tells."""
        return int(self.record.last.get("iteration") or max(self.history.get("iteration", []), default=0))

    @property
    def error(self) -> str | None:
        """Return what stopped a failed run, in one word, as in ``out_of_memory``."""
        return self.record.error.kind if self.record.error else None

    def last(self, metric: str) -> float:
        """Return a metric at a finished run's last iteration, such as ``test/error`` (per cent); nan without one."""
        value = self.record.last.get(metric) if self.state == State.FINISHED else None
        return math.nan if value is None else float(value)


def to_stderr(line: str) -> None:
    print(f"resnet-lab: {line}", file=sys.stderr)


def collect(folder: Path, warn: Callable[[str], None] = to_stderr) -> list[FoundRun]:
    """Return every run at or below a folder, in the order of their paths; links are followed, each run is read once.

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


def run_folders(folder: Path, warn: Callable[[str], None]) -> Iterator[Path]:
    """Yield each folder with a run's files once, however many links lead there, without looking into it.

    Links are followed last, so that runs keep their own paths. A link that leads back to a folder around it, or
    nowhere, costs one line to `warn`.
    """
    seen: set[tuple[int, int]] = set()
    waiting = deque([folder])
    while waiting:
        for here, children, files in os.walk(waiting.popleft(), onerror=lambda error: warn(_left_out(error))):
            path = Path(here)
            try:
                status = path.stat()
            except OSError as error:  # removed since
                warn(_left_out(error))
                continue
            if (status.st_dev, status.st_ino) in seen:
                if path.is_symlink() and path.parent.resolve().is_relative_to(path.resolve()):
                    warn(f"left out {path}: it leads back to {path.resolve()}")
                children.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            if "config.yaml" in files or "record.json" in files:
                children.clear()
                yield path
                continue
            children[:] = [child for child in children if not OF_WANDB.match(child)]
            waiting += [path / child for child in sorted(children) if (path / child).is_symlink()]
            for name in sorted(files):
                if (path / name).is_symlink() and not (path / name).exists():
                    warn(f"left out {path / name}: the link leads nowhere")


def _left_out(error: OSError) -> str:
    return f"left out {error.filename}: {error.strerror}"


def read(path: Path) -> FoundRun:
    """Read one run folder. Raises one of UNREADABLE where it is not one, or is damaged."""
    state, left = RunFolder(path).state_and_record()
    if left and left.error and left.error.kind == "pruned":
        state = State.STOPPED  # by a search: nothing of its own went wrong
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
        kind=_as_the_paper_says(record.model.kind or model.kind, choices["answers"]),
        label=record.model.label or model.label,
        seed=_replica(choices),
    )


def _replica(choices: Choices) -> int:
    """Return the seed; in a cross-validation a number for each seed and fold."""
    seed, fold = int(choices["seed"]), choices.get(FOLD)
    return seed if fold is None else seed * int(choices["data.folds"]) + int(fold)


def _as_the_paper_says(kind: str, answers: str | None) -> str:
    """Return a kind of unit in the words of the table that its run answers: residual (basic, 1x1 conv shortcut)."""
    if answers is None or not answers.startswith("he2016/") or not kind.endswith(")"):
        return kind
    words = IN_HE2016 | {"A": "original"} if answers == COMPARES_SHORTCUTS else IN_HE2016
    unit, _, said = kind[:-1].partition(" (")
    return f"{unit} ({', '.join(words.get(each, each) for each in said.split(', '))})"
