"""Tables drawn by a choice or two, averaged over everything else, as the papers print them. Free of torch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from resnet_lab.errors import UserError
from resnet_lab.report.against import Held, held_against
from resnet_lab.report.choices import shown
from resnet_lab.report.compare import Group, ranked
from resnet_lab.report.pool import Pool, pools
from resnet_lab.report.table import difference_figures, difference_words
from resnet_lab.report.tabular import Figures, Table, large, seconds, two, whole

NOTHING = "–"


@dataclass(frozen=True)
class View:
    """One table, in words and in figures, and what it says beneath."""

    table: Table
    figures: Sequence[Figures]
    caption: str


def drawn_by(groups: Sequence[Group], by: Sequence[str], baseline: Sequence[str] = ()) -> View:
    """A line for each value of these choices."""
    lines = pools(groups, by)
    keys = list(lines[0].by) if lines else []
    held = held_against(lines, baseline, keys)
    rows = [
        {
            **{key: shown(line.by, key) for key in keys},
            "parameters": whole(line.fact("parameters")),
            "multiply-adds": large(line.fact("multiply_adds")),
            "validation error (%)": str(line.last("val/error")),
            "test error (%)": str(line.last("test/error")),
            "n": str(line.n),
            "median": two(line.last("test/error").median),
            "best": two(line.last("test/error").best),
            "training error (%)": str(line.last("train/error")),
            "train s": seconds(line.cost("train_seconds").mean),
            **difference_words(against, baseline),
            "remarks": line.remarks,
        }
        for line, against in zip(lines, held, strict=True)
    ]
    table = Table.of(rows, words={"difference", "remarks", *(key for key in keys if _words(lines, key))})
    return View(table, _figures(lines, held, baseline), _caption(lines))


def pivot(groups: Sequence[Group], rows: str, columns: str, baseline: Sequence[str] = ()) -> View:
    """A row for each value of one choice, a column for each of another; test error in per cent, mean ± std (n).

    With a baseline each cell is the difference to its own, and the interval. Conditions that differ within a cell
    make further rows.
    """
    if rows == columns:
        raise UserError(f"--rows and --columns are both {rows}: two different choices are needed")
    lines = pools(groups, [rows, columns], "--rows or --columns")
    held = held_against(lines, baseline, list(lines[0].by))
    heads = sorted({line.by[columns] for line in lines}, key=ranked)
    keys = [rows, *(key for key in lines[0].by if key not in (rows, columns))]
    counts = {line.n for line in lines}
    alike = len(counts) == 1
    cells: dict[tuple[Any, ...], dict[Any, str]] = {}
    for line, against in zip(lines, held, strict=True):
        said = cell(line, against, n=not alike)
        cells.setdefault(tuple(line.by[key] for key in keys), {})[line.by[columns]] = said
    drawn = [
        {
            **{key: shown({key: value}, key) for key, value in zip(keys, values, strict=True)},
            **{f"{columns}={head}": found.get(head, NOTHING) for head in heads},
        }
        for values, found in cells.items()
    ]
    table = Table(
        tuple(drawn[0]),
        tuple(tuple(row.values()) for row in drawn),
        frozenset(drawn[0]) - {key for key in keys if _words(lines, key)},
    )
    said = f"; n = {counts.pop()} in each cell" if alike else ""
    if baseline:
        said += f"; where the baseline is another cell, the difference to {' '.join(baseline)} and its 95 % interval"
    return View(table, _figures(lines, held, baseline), _caption(lines) + said)


def cell(line: Pool, against: Held | None = None, *, n: bool) -> str:
    """As in ``0.93 ± 0.32 (3)``, or ``+0.37 (-0.20 to +0.94)`` beside a baseline that is else the same."""
    test = line.last("test/error")
    lost = f"; {line.diverged} diverged" if line.diverged else ""
    if not test.n:
        return line.remarks or NOTHING
    count = f" ({test.n})" if n else ""
    if against and against.note and against.note != "the baseline":
        if against.others:
            return f"{test}{count}{lost}; no baseline"
        found = against.difference
        interval = f" ({found.interval})" if found.interval else ""
        return against.note if math.isnan(found.mean) else f"{found.mean:+.2f}{interval}{lost}"
    return f"{test}{count}{lost}"


def _figures(lines: Sequence[Pool], held: Sequence[Held], baseline: Sequence[str]) -> list[Figures]:
    """One line a cell, unrounded: what to load."""
    return [
        {
            **line.by,
            "n": line.n,
            "test_error_mean": (test := line.last("test/error")).mean,
            "test_error_std": test.std,
            "test_error_median": test.median,
            "test_error_best": test.best,
            "test_error_of_runs": list(test.values),
            "train_seconds_mean": line.cost("train_seconds").mean,
            **difference_figures(against, baseline),
            "remarks": line.remarks,
        }
        for line, against in zip(lines, held, strict=True)
    ]


def _caption(lines: Sequence[Pool]) -> str:
    over = ", ".join([*lines[0].over, "seed"]) if lines else "seed"
    return f"Test error in per cent at the last iteration, mean ± standard deviation over n runs, taken over {over}"


def _words(lines: Sequence[Pool], key: str) -> bool:
    return any(isinstance(line.by[key], str) for line in lines)
