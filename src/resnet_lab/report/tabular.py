"""Words and figures in rows and columns, as a terminal, Markdown, LaTeX, CSV and JSON have them. Free of torch."""

import csv
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table as RichTable

Figures = Mapping[str, Any]  # a line's figures, unrounded, by the name of their column
FITTED = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}"  # smaller where it is too wide
DIGITS = 6  # of a number in a file: all that a mean in single precision holds

_TEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "–": "--",
    "×": r"$\times$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    **{sign: "\\" + sign for sign in "&%$#_{}"},
}


@dataclass(frozen=True)
class Table:
    """Words in rows and columns; a column whose name is in `numbers` is set flush right."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[str] = frozenset()

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, str]], words: set[str]) -> "Table":
        """Lines of named cells, the same names in each; columns that are empty throughout are left out."""
        columns = tuple(
            name for name in (rows[0] if rows else {}) if any(row[name] not in ("", "–") for row in rows)
        )
        cells = tuple(tuple(row[name] for name in columns) for row in rows)
        return cls(columns, cells, frozenset(columns) - words)

    def markdown(self) -> str:
        """Padded, so that it reads as plain text too."""
        columns, *rows = ([_no_bar(cell) for cell in cells] for cells in (self.columns, *self.rows))
        widths = [max(3, *map(len, cells)) for cells in zip(columns, *rows, strict=True)]
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

        return "".join(line(cells) for cells in (columns, rule, *rows))

    def latex(self, caption: str) -> str:
        """A table for the packages booktabs and graphicx, no wider than a line of text."""
        align = "".join("r" if name in self.numbers else "l" for name in self.columns)
        lines = [" & ".join(map(tex, cells)) + r" \\" for cells in (self.columns, *self.rows)]
        return "\n".join(
            [
                r"\begin{table}",
                r"\centering",
                rf"\caption{{{tex(caption)}}}",
                rf"{FITTED}{{\begin{{tabular}}{{{align}}}",
                r"\toprule",
                lines[0],
                r"\midrule",
                *lines[1:],
                r"\bottomrule",
                r"\end{tabular}}",
                r"\end{table}",
                "",
            ]
        )

    def rich(self) -> "RichTable":
        from rich.box import SIMPLE_HEAD
        from rich.markup import escape
        from rich.table import Table as RichTable

        table = RichTable(box=SIMPLE_HEAD)
        for name in self.columns:
            table.add_column(escape(name), justify="right" if name in self.numbers else "left")
        for row in self.rows:
            table.add_row(*map(escape, row))
        return table


def tex(text: str) -> str:
    """The text as LaTeX sets it; a minus before a number as one, and no space that could break ``1.2 ± 0.3``."""
    said = "".join(_TEX.get(letter, letter) for letter in text)
    said = said.replace(r" $\pm$ ", r"~$\pm$~")
    said = re.sub(r"(?<![\w.-])-(?=\d)", "$-$", said)
    return (
        "{}" + said if said.startswith(("[", "*")) else said
    )  # which would be the argument of the line above


def as_csv(rows: Sequence[Figures]) -> str:
    """A figure that is not there is an empty cell; several, as of seeds, stand with spaces between them."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return text.getvalue()


def as_json(rows: Sequence[Figures]) -> str:
    """A figure that is not there is null; several are a list."""
    return json.dumps([{name: plain(value) for name, value in row.items()} for row in rows], indent=1) + "\n"


def plain(value: Any, digits: int | None = None) -> Any:
    """Figures as JSON has them, null for none; of what is no whole number so many digits, without `digits` all."""
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        if digits is None:
            return value
        short = value if value.is_integer() else float(f"{value:.{digits}g}")
        return int(short) if short.is_integer() and abs(short) < 1e15 else short
    if isinstance(value, Mapping):
        return {str(key): plain(each, digits) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each, digits) for each in value]
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def two(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"


def seconds(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def whole(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def large(value: int | None) -> str:
    """40551040 as 40.6 M, 3857973248 as 3.86 G."""
    if value is None:
        return "–"
    return f"{value / 1e9:.2f} G" if value >= 1e9 else f"{value / 1e6:.2f} M"


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.{DIGITS}g}"
    if isinstance(value, list | tuple):
        return " ".join(str(_cell(each)) for each in value)
    return value


def _no_bar(cell: str) -> str:
    return cell.replace("|", "\\|")
