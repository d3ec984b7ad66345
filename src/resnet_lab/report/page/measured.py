"""Read what runs measured: curves, thinned so that the page stays small, layers and confusions. Free of torch."""

import csv
import math
from base64 import b64encode
from collections.abc import Iterable, Sequence
from itertools import accumulate

from resnet_lab.files import read_bytes, read_text
from resnet_lab.report.collect import UNREADABLE, FoundRun
from resnet_lab.report.compare import Group
from resnet_lab.report.draw_layers import measured
from resnet_lab.report.tabular import plain
from resnet_lab.runs.history import Columns

POINTS = 20_000  # of all runs together, in each column
FEWEST, MOST = 20, 300  # of one run
DRAWN = ("train/error", "test/error", "val/error", "train/loss", "test/loss", "lr")
FEW = 4  # digits: what an eye can read off
CLASSES = 40  # beyond which a confusion matrix is not drawn
PICTURE = 100_000  # bytes of an image in the page, at most
PROBES = ("layer_responses", "gradient_norms")


def curves_of(runs: Sequence[FoundRun]) -> list[dict[str, object]]:
    """Return each run's columns of history.csv that have values, thinned to few points that include the last one."""
    return [_thinned(run.history, len(runs), (*DRAWN, *_own(run))) for run in runs]


def steps_of(runs: Sequence[FoundRun]) -> list[dict[str, object]]:
    """Return the columns of steps.csv, thinned in the same way."""
    return [_thinned(steps := run.steps, len(runs), steps) for run in runs]


def _own(run: FoundRun) -> list[str]:
    _, slash, name = str(run.choices.get("objective.metric") or "").partition("/")
    return [f"{part}/{name}" for part in ("train", "val", "test")] if slash else []


def _thinned(history: Columns, runs: int, names: Iterable[str]) -> dict[str, object]:
    rows = len(history.get("iteration", []))
    if not rows:
        return {}
    points = max(FEWEST, min(MOST, POINTS // runs))
    kept = sorted({*range(rows - 1, -1, -math.ceil(rows / points)), 0})
    clock = list(accumulate(value if value == value else 0.0 for value in history.get("seconds", [])))
    found = {}
    for name in dict.fromkeys(("epoch", "iteration", "seconds", *names)):
        values = clock if name == "seconds" else history.get(name, [])
        if len(values) == rows:
            found[name] = plain([values[index] for index in kept], FEW)
    return {name: values for name, values in found.items() if any(value is not None for value in values)}


def measured_in(group: Group) -> dict[str, object]:
    """Return profiles over the layers at the first and last measured epoch, confusions and the surest mistakes."""
    found: dict[str, object] = {"confusion": _confusion(group), "pictures": _pictures(group)}
    for what in PROBES:
        if any((run.path / f"{what}.csv").exists() for run in group.runs):
            first, last = (measured(group, what, last=last) for last in (False, True))
            found[what] = {
                "first": [list(first), list(first.values())],
                "last": [list(last), list(last.values())],
            }
    return {what: value for what, value in found.items() if value}


def _pictures(group: Group) -> str | None:
    """Return the first finished seed's surest mistakes as an image that a page can hold; None where they are large."""
    for run in group.finished:
        try:
            data = read_bytes(run.path / "mistakes.png")
        except OSError:
            continue
        return f"data:image/png;base64,{b64encode(data).decode()}" if len(data) <= PICTURE else None
    return None


def _confusion(group: Group) -> dict[str, object] | None:
    """Add up the counts of all seeds: a row per class, a column per answer; None where no run has recorded them."""
    tables = [table for run in group.finished if (table := _read(run))]
    if not tables or any(table[:2] != tables[0][:2] for table in tables):
        return None
    columns, labels, _ = tables[0]
    counts = [
        [sum(cells) for cells in zip(*rows, strict=True)]
        for rows in zip(*(counts for *_, counts in tables), strict=True)
    ]
    return {"columns": columns, "labels": labels, "counts": counts}


def _read(run: FoundRun) -> tuple[list[str], list[str], list[list[int]]] | None:
    try:
        header, *rows = csv.reader(read_text(run.path / "confusion.csv").splitlines())
        if len(rows) > CLASSES or len(header) > 2 * CLASSES or any(len(row) != len(header) for row in rows):
            return None
        return header[1:], [row[0] for row in rows], [[int(cell) for cell in row[1:]] for row in rows]
    except UNREADABLE:
        return None
