"""Print one table to be pasted or loaded, or return it to a notebook; nothing is written. Free of torch."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from resnet_lab.errors import UserError, unknown
from resnet_lab.report.compare import Group, summarise
from resnet_lab.report.pivot import PivotTable, drawn_by, pivot
from resnet_lab.report.publish import Part, by_part, gathered, note_of, parts_of, print_table, rule_of
from resnet_lab.report.select import slug
from resnet_lab.report.table import group_figures, group_table, run_figures
from resnet_lab.report.tabular import Figures, as_csv, as_json

FORMATS = ("md", "csv", "latex", "json")


@dataclass(frozen=True)
class Question:
    """How the runs are to be put together."""

    by: Sequence[str] = ()  # a line for each value of these choices
    rows: str | None = None  # with `columns`: a cell for each pair of values
    columns: str | None = None
    baseline: Sequence[str] = ()  # as model.shortcut=none: differences to it
    show: Sequence[str] = ()  # further columns, by their name in table.csv
    all_runs: bool = False  # the plain average, also where the cells differ in what they are averaged over
    format: str | None = None  # of FORMATS; None: drawn on a terminal, Markdown elsewhere

    @property
    def asked(self) -> bool:
        return any(vars(self).values())


def show(folders: Sequence[Path], where: Sequence[str], question: Question) -> int:
    """Print the table of the runs below these folders and return 0. Raises UserError for what it cannot be drawn by."""
    if question.format not in (None, *FORMATS):
        raise unknown("--format", question.format, FORMATS)
    parts = parts_of(gathered(folders, where))
    views = _views(parts, question)
    figures = by_part({name: view.figures for name, view in views.items()})
    match question.format:
        case "csv":
            sys.stdout.write(as_csv(figures))
        case "json":
            sys.stdout.write(as_json(figures))
        case "latex":
            for part, view in zip(parts, views.values(), strict=True):
                label = slug(" ".join([str(part.runs[0].choices["name"]), part.name]))
                sys.stdout.write(view.table.latex(f"{part.title}.", label, f"{view.caption}."))
        case _:
            for part, view in zip(parts, views.values(), strict=True):
                if question.format is None:
                    print(part.title)
                    print_table(view.table)
                else:
                    print(f"{part.title}\n\n" * bool(part.name) + view.table.markdown())
                print(view.caption)
    return 0


def _views(parts: Sequence[Part], question: Question) -> dict[str, PivotTable]:
    """Return the table of each part; without differences where a part has no baseline. UserError where none has."""
    views, missing = {}, []
    for part in parts:
        try:
            views[part.name] = viewed(part.groups, question)
        except UserError as error:
            missing.append(error)
            if not question.baseline or len(missing) == len(parts):
                raise
            views[part.name] = viewed(part.groups, replace(question, baseline=()))
    return views


def viewed(groups: Sequence[Group], question: Question) -> PivotTable:
    """Return the groups as a question wants them put together."""
    if question.all_runs and not (question.by or question.rows):
        raise UserError("--all-runs goes with --by, or with --rows and --columns: it says how they average")
    if question.show and question.rows:
        raise UserError("--show adds columns to a table of groups or of --by, not to --rows and --columns")
    if bool(question.rows) != bool(question.columns):
        raise UserError("--rows and --columns go together; --by draws a table by one choice")
    if question.rows and question.columns:
        if question.by:
            raise UserError("--by and --rows are two tables: ask for one of them")
        return pivot(groups, question.rows, question.columns, question.baseline, all_runs=question.all_runs)
    if question.by:
        return drawn_by(groups, question.by, question.baseline, question.show, all_runs=question.all_runs)
    table = group_table(groups, question.baseline, question.show)
    said = f"{rule_of(groups)} {note_of(groups)}".strip().removesuffix(".")
    return PivotTable(table, group_figures(groups, question.baseline), said)


def compare(
    folders: Path | str | Sequence[Path | str],
    *,
    where: Sequence[str] = (),
    by: Sequence[str] = (),
    baseline: Sequence[str] = (),
) -> Any:
    """Return the groups of all runs below these folders, one row each: the figures of table.csv, unrounded.

    A pandas frame if pandas is installed, else a list of mappings. `where`, `by` and `baseline`: those of the command.
    """
    question = Question(by=by, baseline=baseline)
    parts = parts_of(gathered(_paths(folders), where))
    return _frame(by_part({part.name: viewed(part.groups, question).figures for part in parts}))


def compare_runs(folders: Path | str | Sequence[Path | str], *, where: Sequence[str] = ()) -> Any:
    """Return every run below these folders, one row each: the figures of runs.csv, as `compare` returns them."""
    return _frame(run_figures(summarise(gathered(_paths(folders), where))))


def _paths(folders: Path | str | Sequence[Path | str]) -> list[Path]:
    return [Path(each) for each in ([folders] if isinstance(folders, Path | str) else folders)]


def _frame(rows: Sequence[Figures]) -> Any:
    try:
        import pandas
    except ImportError:
        return list(rows)
    return pandas.DataFrame(list(rows))
