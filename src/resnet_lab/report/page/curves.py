"""Histories for a page: thinned, so that a page of many runs stays small. Free of torch."""

from collections.abc import Sequence
from itertools import accumulate

from resnet_lab.report.collect import FoundRun
from resnet_lab.report.tabular import plain
from resnet_lab.runs.history import Columns

POINTS = 20_000  # of all runs together, in each column
FEWEST, MOST = 20, 300  # of one run
COLUMNS = ("train/error", "test/error", "val/error", "train/loss", "test/loss", "lr")
FEW = 4  # digits: what an eye can read off


def curves_of(runs: Sequence[FoundRun]) -> list[dict[str, object]]:
    """Return each run's columns that have values, by name, thinned to few points that include the last one."""
    points = max(FEWEST, min(MOST, POINTS // max(len(runs), 1)))
    return [_thinned(run.history, points, run.choices.get("objective.metric") or "") for run in runs]


def _thinned(history: Columns, points: int, objective: str) -> dict[str, object]:
    rows = len(history.get("iteration", []))
    if not rows:
        return {}
    step = -(-rows // points)
    own = [f"{part}/{objective.partition('/')[2]}" for part in ("train", "val", "test")] if objective else []
    kept = sorted({*range(rows - 1, -1, -step), 0})
    clock = list(accumulate(value if value == value else 0.0 for value in history.get("seconds", [])))
    columns = {
        "epoch": history.get("epoch", []),
        "iteration": history["iteration"],
        "seconds": clock,
        **{name: history[name] for name in (*COLUMNS, *own) if name in history},
    }
    found = {
        name: plain([values[index] for index in kept], FEW)
        for name, values in columns.items()
        if len(values) == rows
    }
    return {name: values for name, values in found.items() if any(value is not None for value in values)}
