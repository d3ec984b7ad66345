"""Write words and figures in rows and columns for a terminal, Markdown, LaTeX, CSV and JSON. Free of torch."""

import csv
import io
import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table as RichTable

Figures = Mapping[str, Any]  # a line's figures, unrounded, by the name of their column
FITTED = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}"  # smaller where it is too wide
DIGITS = 6  # of a number in a file: all that a mean in single precision holds

NUMBER = re.compile(
    r"(?P<sign>[+-]?)(?P<whole>[\d,]+)(?:\.(?P<decimals>\d+))?(?: ± (?P<spread>[\d,.]+))?(?: (?P<suffix>[MG]))?"
)
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
    best: frozenset[tuple[int, int]] = frozenset()  # rows and columns of the cells that LaTeX sets in bold

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, str]], words: set[str]) -> "Table":
        """Make a table of lines of named cells, the same names in each; empty columns are left out."""
        names = rows[0] if rows else {}
        columns = tuple(name for name in names if any(row[name] not in ("", "–") for row in rows))
        cells = tuple(tuple(row[name] for name in columns) for row in rows)
        return cls(columns, cells, frozenset(columns) - words)

    def without(self, titles: Collection[str]) -> "Table":
        """Return the table without these columns."""
        kept = [index for index, name in enumerate(self.columns) if name not in titles]
        return Table(
            tuple(self.columns[index] for index in kept),
            tuple(tuple(row[index] for index in kept) for row in self.rows),
            self.numbers.difference(titles),
            frozenset((row, kept.index(column)) for row, column in self.best if column in kept),
        )

    def markdown(self) -> str:
        """Return the table padded, so that it reads as plain text too."""
        rows = [[cell.replace("|", "\\|") for cell in cells] for cells in (self.columns, *self.rows)]
        widths = [max(3, *map(len, cells)) for cells in zip(*rows, strict=True)]
        right = [name in self.numbers for name in self.columns]
        rule = [
            "-" * (width - 1) + (":" if flush else "-") for width, flush in zip(widths, right, strict=True)
        ]
        padded = [
            [
                cell.rjust(width) if flush else cell.ljust(width)
                for cell, width, flush in zip(cells, widths, right, strict=True)
            ]
            for cells in (rows[0], rule, *rows[1:])
        ]
        return "".join(f"| {' | '.join(cells)} |\n" for cells in padded)

    def latex(self, caption: str, label: str = "", note: str = "") -> str:
        """Return a table for booktabs, graphicx and siunitx, no wider than a line of text; `note` goes below."""
        formats = [
            _siunitx([row[index] for row in self.rows]) if name in self.numbers else None
            for index, name in enumerate(self.columns)
        ]
        heads = [
            tex(name) if form is None else f"{{{tex(f'{name} ({form[1]})' if form[1] else name)}}}"
            for name, form in zip(self.columns, formats, strict=True)
        ]
        rows = [
            " & ".join(
                _tex_cell(cell, form, bold=(row, column) in self.best)
                for column, (cell, form) in enumerate(zip(cells, formats, strict=True))
            )
            for row, cells in enumerate(self.rows)
        ]
        align = "".join(
            form[0] if form else "r" if name in self.numbers else "l"
            for name, form in zip(self.columns, formats, strict=True)
        )
        lines = [r"\begin{table}", r"\centering", rf"\caption{{{tex(caption)}}}"]
        lines += [rf"\label{{tab:{label}}}"] if label else []
        lines += [r"\smallskip", rf"{FITTED}{{\begin{{tabular}}{{{align}}}", r"\toprule"]
        lines += [" & ".join(heads) + r" \\", r"\midrule", *(rf"{row} \\" for row in rows)]
        lines += [r"\bottomrule", r"\end{tabular}}"]
        lines += [rf"\par\smallskip{{\footnotesize {tex(note)}\par}}"] if note else []
        return "\n".join([*lines, r"\end{table}", ""])

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


def _siunitx(cells: Sequence[str]) -> tuple[str, str] | None:
    """Return how siunitx aligns these cells, and the suffix of all, such as ``M``; None where one is not a number."""
    found = [NUMBER.fullmatch(cell) for cell in cells if cell not in ("", "–")]
    numbers = [match for match in found if match]
    suffixes = {match["suffix"] or "" for match in numbers}
    if len(numbers) < len(found) or len(suffixes) != 1:
        return None
    signed = "-" if any(match["sign"] == "-" for match in numbers) else ""
    whole = max(len(match["whole"].replace(",", "")) for match in numbers)
    decimals = max(len(match["decimals"] or "") for match in numbers)
    spreads = [match["spread"].replace(",", "").partition(".") for match in numbers if match["spread"]]
    spread = max((len(before) + max(len(after), decimals) for before, _, after in spreads), default=0)
    form = f"{signed}{whole}.{decimals}" if decimals else f"{signed}{whole}"
    options = [f"table-format={form}({spread})" if spread else f"table-format={form}", "detect-weight"]
    options += ["separate-uncertainty"] if spread else []
    options += ["retain-explicit-plus"] if any(match["sign"] == "+" for match in numbers) else []
    return f"S[{','.join(options)}]", suffixes.pop()


def _tex_cell(cell: str, form: tuple[str, str] | None, *, bold: bool) -> str:
    """Return a cell as siunitx reads it, or as text."""
    if form is None:
        return rf"\textbf{{{tex(cell)}}}" if bold else tex(cell)
    if cell in ("", "–"):
        return "{--}" if cell else ""
    number = cell.removesuffix(form[1]).strip().replace(",", "").replace("±", r"\pm")
    return rf"\bfseries {number}" if bold else number


def tex(text: str) -> str:
    """Return the text as LaTeX sets it; a minus before a number as one, and no space that could break ``1.2 ± 0.3``."""
    said = "".join(_TEX.get(letter, letter) for letter in text)
    said = said.replace(r" $\pm$ ", r"~$\pm$~")
    said = re.sub(r"(?<![\w.-])-(?=\d)", "$-$", said)
    # [ and * would be arguments of the end of the line above
    return "{}" + said if said.startswith(("[", "*")) else said


def as_csv(rows: Sequence[Figures]) -> str:
    """Return the rows as CSV: a missing figure is an empty cell; several, as of seeds, are separated by spaces."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return text.getvalue()


def as_json(rows: Sequence[Figures]) -> str:
    """Return the rows as JSON: a missing figure is null; several are a list."""
    return json.dumps([{name: plain(value) for name, value in row.items()} for row in rows], indent=1) + "\n"


def plain(value: Any, digits: int | None = None) -> Any:
    """Return figures for JSON: None for those that are not finite; `digits` of a fraction, by default all."""
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


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.{DIGITS}g}"
    if isinstance(value, list | tuple):
        return " ".join(str(_cell(each)) for each in value)
    return value
