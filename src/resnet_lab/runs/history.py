"""The numbers of a run's CSV files, as they are read again. Free of torch."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from resnet_lab.files import read_text

Columns = dict[str, list[float]]


def read_columns(path: Path) -> Columns:
    """Return the numbers of a CSV file by column, nan where there is none; empty without a file.

    A line that is still being written is left out.
    """
    if not path.exists():
        return {}
    whole, _, _ = read_text(path).rpartition("\n")
    header, *rows = csv.reader(whole.splitlines() or [""])
    rows = [row for row in rows if len(row) == len(header)]
    if not rows:
        return {name: [] for name in header}
    return {name: _numbers(cells) for name, cells in zip(header, zip(*rows, strict=True), strict=True)}


def read_or_empty(path: Path) -> Columns:
    """Read the columns like `read_columns`, and return none if the file cannot be read."""
    try:
        return read_columns(path)
    except (OSError, ValueError, csv.Error):
        return {}


def latest(columns: Columns, name: str) -> float | None:
    """Return the last figure of a column; None where it has none."""
    return next((value for value in reversed(columns.get(name, [])) if not math.isnan(value)), None)


def _numbers(cells: Sequence[str]) -> list[float]:
    """Return the numbers of a column, converted at once where possible: reports spend most of their time here."""
    if not any(cells):
        return [math.nan] * len(cells)
    try:
        return list(map(float, cells))
    except ValueError:
        return list(map(_number, cells))


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan
