"""Runs in a notebook: a data frame of what the report prints. Free of torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from resnet_lab.report.compare import summarise
from resnet_lab.report.publish import by_part, gathered, parts_of
from resnet_lab.report.runs_table import run_figures
from resnet_lab.report.tabular import Figures
from resnet_lab.report.view import Question, viewed


def compare(
    folders: Path | str | Sequence[Path | str],
    *,
    where: Sequence[str] = (),
    by: Sequence[str] = (),
    baseline: Sequence[str] = (),
) -> Any:
    """Return the groups of all runs below these folders, one row each: the figures of table.csv, unrounded.

    A pandas frame where pandas is there, else a list of mappings. `where`, `by` and `baseline`: those of the command.
    """
    question = Question(by=by, baseline=baseline)
    parts = parts_of(gathered(_paths(folders), where))
    return _frame(by_part({part.name: viewed(part.groups, question).figures for part in parts}))


def compare_runs(folders: Path | str | Sequence[Path | str], *, where: Sequence[str] = ()) -> Any:
    """Return every run below these folders, one row each: the figures of runs.csv; as `compare` gives them."""
    return _frame(run_figures(summarise(gathered(_paths(folders), where))))


def _paths(folders: Path | str | Sequence[Path | str]) -> list[Path]:
    return [Path(each) for each in ([folders] if isinstance(folders, Path | str) else folders)]


def _frame(rows: Sequence[Figures]) -> Any:
    try:
        import pandas
    except ImportError:
        return list(rows)
    return pandas.DataFrame(list(rows))
