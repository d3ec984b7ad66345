"""Histories and steps for a page: thinned, so that a page of many runs stays small. Free of torch."""

import math
from collections.abc import Sequence
from itertools import accumulate

from resnet_lab.report.collect import FoundRun
from resnet_lab.report.tabular import plain
from resnet_lab.runs.history import Columns

POINTS = 20_000  # of all runs together, in each column
FEWEST, MOST = 20, 300  # of one run
COLUMNS = ("train/error", "test/error", "val/error", "train/loss", "test/loss", "lr")
OF_STEPS = ("images", "train/loss", "lr", "images_per_second", "gradient_norm")
FEW = 4  # digits: what an eye can read off


def curves_of(runs: Sequence[FoundRun]) -> list[dict[str, object]]:
    """Return each run's columns of history.csv that have values, thinned to few points that include the last one."""
    return [_thinned(run.history, len(runs), (*COLUMNS, *_own(run))) for run in runs]


def steps_of(runs: Sequence[FoundRun]) -> list[dict[str, object]]:
    """Return the same of steps.csv."""
    return [_thinned(run.steps, len(runs), OF_STEPS) for run in runs]


def _own(run: FoundRun) -> list[str]:
    _, slash, name = str(run.choices.get("objective.metric") or "").partition("/")
    return [f"{part}/{name}" for part in ("train", "val", "test")] if slash else []


def _thinned(history: Columns, runs: int, names: Sequence[str]) -> dict[str, object]:
    rows = len(history.get("iteration", []))
    if not rows:
        return {}
    points = max(FEWEST, min(MOST, POINTS // runs))
    kept = sorted({*range(rows - 1, -1, -math.ceil(rows / points)), 0})
    clock = list(accumulate(value if value == value else 0.0 for value in history.get("seconds", [])))
    columns = {
        "epoch": history.get("epoch", []),
        "iteration": history["iteration"],
        "seconds": clock,
        **{name: history[name] for name in names if name in history},
    }
    found = {
        name: plain([values[index] for index in kept], FEW)
        for name, values in columns.items()
        if len(values) == rows
    }
    return {name: values for name, values in found.items() if any(value is not None for value in values)}
