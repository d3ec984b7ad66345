"""The rows of a history.csv, as a tracker takes them: whatever columns it has, a number each."""

import math
import time
from collections.abc import Sequence
from datetime import datetime
from itertools import accumulate
from pathlib import Path

from filelock import FileLock

from resnet_lab.runs.history import read_columns

Row = dict[str, float]

AXES = ("iteration", "epoch", "images")
PATIENCE = 60.0  # seconds: a killed run's trackers get what is certain, and then the run goes on


def told_by_one(folder: Path) -> FileLock:
    """One process at a time tells of a run folder; TimeoutError where another does not come to its end."""
    return FileLock(folder / "telling.lock", timeout=PATIENCE)


def read_rows(file: Path) -> list[Row]:
    """Return the rows of a CSV file, empty cells left out; none without a file."""
    columns = read_columns(file)
    return [
        {name: value for name, value in zip(columns, row, strict=True) if not math.isnan(value)}
        for row in zip(*columns.values(), strict=True)
    ]


def all_rows(folder: Path) -> list[Row]:
    """Return the rows of a run, those of steps.csv as ``step/…`` before that of their epoch, by iteration.

    Each has what a curve may be drawn against: iteration, epoch and, where there are steps, images seen. Rows up to an
    iteration that a checkpoint knows stay as they are and where they are.
    """
    steps, epochs = read_rows(folder / "steps.csv"), read_rows(folder / "history.csv")
    if steps and "epoch" in steps[0]:
        images = steps[0]["images"] / steps[0]["epoch"]
        epochs = [row | {"images": round(row["epoch"] * images)} for row in epochs]
    named = [
        {name if name in AXES else f"step/{name}": value for name, value in row.items()} for row in steps
    ]
    return sorted([*named, *epochs], key=lambda row: row["iteration"])


def rows_to(rows: Sequence[Row], iteration: int | None) -> list[Row]:
    """Return the rows up to an iteration; None: all."""
    return [row for row in rows if iteration is None or row["iteration"] <= iteration]


def seconds_after_start(rows: Sequence[Row]) -> list[float]:
    """When each row ended, by the seconds that its epochs took."""
    return list(accumulate(row.get("seconds", 0.0) for row in rows))


def seconds_of(when: str | None) -> float:
    """Return seconds since 1970 of an ISO 8601 time; now where there is none."""
    try:
        return datetime.fromisoformat(when or "").timestamp()
    except ValueError:
        return time.time()
