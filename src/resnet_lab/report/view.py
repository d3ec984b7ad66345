"""One table that is asked for, printed to be pasted or loaded; nothing is written. Free of torch."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from resnet_lab.errors import UserError, unknown
from resnet_lab.report.compare import Group, summarise
from resnet_lab.report.pivot import View, drawn_by, pivot
from resnet_lab.report.publish import gathered, print_table, rule_of, title_of
from resnet_lab.report.table import group_figures, group_table
from resnet_lab.report.tabular import as_csv, as_json

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
        return bool(self.by or self.rows or self.columns or self.baseline or self.format or self.show)


def show(folders: Sequence[Path], where: Sequence[str], question: Question) -> int:
    """Print the table of the runs below these folders; 0. Raises UserError for what it cannot be drawn by."""
    if question.format not in (None, *FORMATS):
        raise unknown("--format", question.format, FORMATS)
    runs = gathered(folders, where)
    view = viewed(summarise(runs), question)
    match question.format:
        case "csv":
            sys.stdout.write(as_csv(view.figures))
        case "json":
            sys.stdout.write(as_json(view.figures))
        case "latex":
            sys.stdout.write(view.table.latex(f"{title_of(runs)}. {view.caption}"))
        case "md":
            sys.stdout.write(f"{view.table.markdown()}\n{view.caption}\n")
        case None:
            print(title_of(runs))
            print_table(view.table)
            print(view.caption)
    return 0


def viewed(groups: Sequence[Group], question: Question) -> View:
    """The groups as a question wants them put together."""
    if bool(question.rows) != bool(question.columns):
        raise UserError("--rows and --columns go together; --by draws a table by one choice")
    if question.rows and question.columns:
        if question.by:
            raise UserError("--by and --rows are two tables: ask for one of them")
        return pivot(groups, question.rows, question.columns, question.baseline, all_runs=question.all_runs)
    if question.by:
        return drawn_by(groups, question.by, question.baseline, question.show, all_runs=question.all_runs)
    table = group_table(groups, question.baseline, question.show)
    return View(table, group_figures(groups, question.baseline), rule_of(groups))
