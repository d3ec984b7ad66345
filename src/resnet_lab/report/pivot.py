"""Draw tables by a choice or two, averaged over everything else, as the papers print them. Free of torch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from resnet_lab.columns import NOTHING, choice_word, headings
from resnet_lab.errors import UserError
from resnet_lab.report.against import AgainstBaseline, held_against
from resnet_lab.report.choices import shown
from resnet_lab.report.compare import Group, ranked
from resnet_lab.report.pool import Pool, Pools, pools
from resnet_lab.report.table import (
    Field,
    best_of,
    choice_field,
    figures_of,
    interval_words,
    measures,
    remarks_field,
    said,
    table_of,
)
from resnet_lab.report.tabular import Figures, Table


@dataclass(frozen=True)
class PivotTable:
    """A table in words and in figures, and the line beneath it."""

    table: Table
    figures: Sequence[Figures]
    caption: str


def drawn_by(
    groups: Sequence[Group],
    by: Sequence[str],
    baseline: Sequence[str] = (),
    show: Sequence[str] = (),
    *,
    all_runs: bool = False,
) -> PivotTable:
    """Return a table with a line for each value of these choices."""
    found = pools(groups, by, all_runs=all_runs)
    lines = found.lines
    fields = _fields(found, held_against(lines, baseline, found.keys), baseline, show)
    return PivotTable(table_of(fields, lines), figures_of(fields, len(lines)), _caption(found))


def pivot(
    groups: Sequence[Group],
    rows: str,
    columns: str,
    baseline: Sequence[str] = (),
    *,
    all_runs: bool = False,
) -> PivotTable:
    """Return a row for each value of one choice and a column for each of another; cells are mean ± std (n).

    With a baseline each cell is the difference to its own, and the interval. Conditions that differ within a cell
    make further rows.
    """
    if rows == columns:
        raise UserError(f"--rows and --columns are both {rows}: two different choices are needed")
    found = pools(groups, [rows, columns], "--rows or --columns", all_runs=all_runs)
    lines = found.lines
    held = held_against(lines, baseline, found.keys)
    heads = sorted({line.by[columns] for line in lines}, key=ranked)
    keys = [rows, *(key for key in found.keys if key not in (rows, columns))]
    named = headings(keys)
    counts = {line.n for line in lines}
    alike = len(counts) == 1
    cells: dict[tuple[Any, ...], dict[Any, str]] = {}
    for line, against in zip(lines, held, strict=True):
        row = cells.setdefault(tuple(line.by[key] for key in keys), {})
        row[line.by[columns]] = cell(line, against, n=not alike)
    best = [] if baseline else [lines[index].by for index in best_of(lines)]
    places = list(cells)
    drawn = [
        {
            **{named[key]: shown({key: value}, key) for key, value in zip(keys, values, strict=True)},
            **{choice_word(columns, head): row.get(head, NOTHING) for head in heads},
        }
        for values, row in cells.items()
    ]
    words = {named[key] for key in keys if any(isinstance(line.by[key], str) for line in lines)}
    marked = [
        (places.index(tuple(by[key] for key in keys)), len(keys) + heads.index(by[columns])) for by in best
    ]
    body = tuple(tuple(row.values()) for row in drawn)
    table = Table(tuple(drawn[0]), body, frozenset(drawn[0]) - words, frozenset(marked))
    said = f"; n = {counts.pop()} in each cell" if alike else ""
    if baseline:
        said += f"; where the baseline is another cell, the difference to {' '.join(baseline)} and its 95 % interval"
    fields = _fields(found, held, baseline)
    return PivotTable(table, figures_of(fields, len(lines)), _caption(found) + said)


def cell(line: Pool, against: AgainstBaseline | None = None, *, n: bool) -> str:
    """Return ``0.93 ± 0.32 (3)``, or against a baseline the difference, ``+0.37 (-0.20 to +0.94)``."""
    test, column = line.result, line.objective
    if not test.n:
        return line.remarks or NOTHING
    lost = f"; {line.diverged} diverged" if line.diverged else ""
    words = f"{said(column, test)} ({test.n})" if n else said(column, test)
    if not against or against.note in ("", "the baseline"):
        return f"{words}{lost}"
    if against.others:
        return f"{words}{lost}; no baseline"
    if math.isnan(against.difference.mean):
        return against.note
    interval = f" ({within})" if (within := interval_words(column, against.difference)) else ""
    return f"{column.signed(against.difference.mean)}{interval}{lost}"


def _fields(
    found: Pools, held: Sequence[AgainstBaseline], baseline: Sequence[str], show: Sequence[str] = ()
) -> list[Field]:
    choices = [choice_field(found.lines, key, heading) for key, heading in headings(found.keys).items()]
    return [*choices, *measures(found.lines, held, baseline, (), show), remarks_field(found.lines)]


def _caption(found: Pools) -> str:
    """Say what is averaged, its unit, and over what."""
    column = found.lines[0].objective
    unit = {"%": " in per cent", "": ""}.get(column.unit, f" in {column.unit}")
    what = f"{column.heading[:1].upper()}{column.heading[1:]}{unit}"
    return f"{what} at the last iteration, mean ± standard deviation over n runs, {found.caption}"
