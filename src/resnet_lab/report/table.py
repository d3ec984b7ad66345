"""Groups of runs as tables: for the terminal, Markdown and CSV. Free of torch."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from resnet_lab.report.choices import shown
from resnet_lab.report.compare import Group, told_apart_by
from resnet_lab.report.paper import Beside
from resnet_lab.report.spread import Spread

if TYPE_CHECKING:
    from rich.table import Table as RichTable

MANY = 12  # further metrics, beyond which a table for the eye leaves out those of single classes


@dataclass(frozen=True)
class Table:
    """Words in rows and columns; a column whose name is in `numbers` is set flush right."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[str] = frozenset()

    def markdown(self) -> str:
        """Padded, so that it reads as plain text too."""
        widths = [max(3, *map(len, cells)) for cells in zip(self.columns, *self.rows, strict=True)]
        right = [name in self.numbers for name in self.columns]
        rule = [
            "-" * (width - 1) + (":" if flush else "-") for width, flush in zip(widths, right, strict=True)
        ]

        def line(cells: Sequence[str]) -> str:
            padded = [
                cell.rjust(width) if flush else cell.ljust(width)
                for cell, width, flush in zip(cells, widths, right, strict=True)
            ]
            return f"| {' | '.join(padded)} |\n"

        return "".join(line(cells) for cells in (self.columns, rule, *self.rows))

    def rich(self) -> "RichTable":
        from rich.box import SIMPLE_HEAD
        from rich.table import Table as RichTable

        table = RichTable(box=SIMPLE_HEAD)
        for name in self.columns:
            table.add_column(name, justify="right" if name in self.numbers else "left")
        for row in self.rows:
            table.add_row(*row)
        return table


def group_table(groups: Sequence[Group]) -> Table:
    """Depth and kind of unit against parameters, multiply-adds, test error (per cent) and seconds.

    A column for each further choice in which groups differ, and for each further metric, but for those of classes
    where they are many; empty columns are left out. Median and best of the seeds are in `group_csv`.
    """
    keys, metrics = told_apart_by(groups), _metrics(groups)
    if len(metrics) > MANY:
        metrics = [name for name in metrics if "/" not in name]
    rows = [
        {
            "depth": "" if group.depth is None else str(group.depth),
            "kind of unit": group.kind,
            **{key: shown(group.choices, key) for key in keys},
            "parameters": _whole(group.fact("parameters")),
            "multiply-adds": _large(group.fact("multiply_adds")),
            "validation error (%)": str(group.last("val/error")),
            "test error (%)": str(group.test),
            "n": str(group.n),
            **{name: _fraction(group.last(f"test/{name}")) for name in metrics},
            "at best val epoch": str(group.at_best_epoch) if group.at_best_epoch.n else "",
            "training error (%)": str(group.train),
            "train s": _seconds(group.cost("train_seconds").mean),
            "remarks": group.remarks,
        }
        for group in groups
    ]
    return _without_empty(rows, words={"kind of unit", "remarks"})


def paper_table(beside: Sequence[Beside]) -> Table:
    """The paper's figure and its statistic, ours, the difference, its interval and the verdict; errors in per cent."""
    keys = told_apart_by([each.group for each in beside if each.group is not None])
    rows = []
    for each in beside:
        test = each.group.test if each.group else None
        rows.append(
            {
                "net": each.figure.label,
                **{key: shown(each.group.choices, key) if each.group else "" for key in keys},
                "paper": str(each.figure),
                "ours": str(test) if test else "",
                "n": str(test.n) if test else "",
                "median": _two(test.median) if test else "",
                "best": _two(test.best) if test else "",
                "difference": "" if math.isnan(each.difference.mean) else f"{each.difference.mean:+.2f}",
                "95 % interval": each.difference.interval,
                "verdict": each.verdict,
                "others": _range(sorted(row["error"] for row in each.figure.others())),
            }
        )
    return _without_empty(rows, words={"net", "paper", "verdict", "others"})


def group_csv(groups: Sequence[Group]) -> str:
    """The figures of `group_table`, unrounded, one line a group."""
    keys, metrics = told_apart_by(groups), _metrics(groups)
    rows = [
        {
            "experiment": group.choices["name"],
            "depth": group.depth,
            "kind": group.kind,
            **{key: group.choices.get(key) for key in keys},
            "parameters": group.fact("parameters"),
            "multiply_adds": group.fact("multiply_adds"),
            "n": group.n,
            "seeds": " ".join(str(run.seed) for run in group.finished),
            "val_error_mean": group.last("val/error").mean,
            "val_error_std": group.last("val/error").std,
            "test_error_mean": group.test.mean,
            "test_error_std": group.test.std,
            "test_error_median": group.test.median,
            "test_error_best": group.test.best,
            "test_error_at_best_val_epoch": group.at_best_epoch.mean,
            "train_error_mean": group.train.mean,
            **{f"test_{name}_mean": group.last(f"test/{name}").mean for name in metrics},
            **{f"test_{name}_std": group.last(f"test/{name}").std for name in metrics},
            "train_seconds_mean": group.cost("train_seconds").mean,
            "remarks": group.remarks,
        }
        for group in groups
    ]
    return _csv(rows)


def paper_csv(beside: Sequence[Beside]) -> str:
    """The figures of `paper_table`, unrounded."""
    rows = [
        {
            "net": each.figure.label,
            "paper": "fail" if each.figure.printed is None else each.figure.printed,
            "paper_statistic": each.figure.statistic,
            "paper_runs": each.figure.runs,
            "paper_mean": each.figure.mean,
            "paper_std": each.figure.std,
            "n": each.group.n if each.group else 0,
            "mean": each.group.test.mean if each.group else None,
            "std": each.group.test.std if each.group else None,
            "median": each.group.test.median if each.group else None,
            "best": each.group.test.best if each.group else None,
            "difference": each.difference.mean,
            "interval_low": each.difference.low,
            "interval_high": each.difference.high,
            "verdict": each.verdict,
            "others": " ".join(f"{row['error']:g}" for row in each.figure.others()),
        }
        for each in beside
    ]
    return _csv(rows)


def _metrics(groups: Sequence[Group]) -> list[str]:
    return list(dict.fromkeys(name for group in groups for name in group.metrics))


def _fraction(spread: Spread) -> str:
    """Metrics lie between 0 and 1, most of them: four digits."""
    if not spread.values:
        return "–"
    return f"{spread.mean:.4g}" if spread.n == 1 else f"{spread.mean:.4g} ± {spread.std:.2g}"


def _without_empty(rows: Sequence[dict[str, str]], words: set[str]) -> Table:
    columns = tuple(
        name for name in (rows[0] if rows else {}) if any(row[name] not in ("", "–") for row in rows)
    )
    return Table(
        columns, tuple(tuple(row[name] for name in columns) for row in rows), frozenset(columns) - words
    )


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as CSV; a figure that is not there is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return value


def _two(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"


def _seconds(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def _whole(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _large(value: int | None) -> str:
    """40551040 as 40.6 M, 3857973248 as 3.86 G."""
    if value is None:
        return "–"
    return f"{value / 1e9:.2f} G" if value >= 1e9 else f"{value / 1e6:.2f} M"


def _range(values: Sequence[float]) -> str:
    if not values:
        return ""
    return f"{values[0]:.2f}" if len(values) == 1 else f"{values[0]:.2f} to {values[-1]:.2f} ({len(values)})"
