"""The numbers of a run's CSV files, as they are read again. Free of torch."""

import csv
import math
from pathlib import Path

from resnet_lab.files import read_text

Columns = dict[str, list[float]]


def read_columns(path: Path) -> Columns:
    """The numbers of a CSV file by column, nan where there is none; empty without a file.

    A line that is still being written is left out.
    """
    if not path.exists():
        return {}
    whole, _, _ = read_text(path).rpartition("\n")
    header, *rows = csv.reader(whole.splitlines() or [""])
    rows = [row for row in rows if len(row) == len(header)]
    return {name: [_number(row[place]) for row in rows] for place, name in enumerate(header)}


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan
