"""Words and figures in rows and columns, as a terminal, Markdown, LaTeX, CSV and JSON have them. Free of torch."""

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
        """Lines of named cells, the same names in each; columns that are empty throughout are left out."""
        columns = tuple(
            name for name in (rows[0] if rows else {}) if any(row[name] not in ("", "–") for row in rows)
        )
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

    def latex(self, caption: str, label: str = "", note: str = "") -> str:
        """Return a table for booktabs, graphicx and siunitx, no wider than a line of text, with the `note` below."""
        formats = [self._format(index) for index in range(len(self.columns))]
        heads = [f"{{{tex(head)}}}" if form else tex(head) for head, form in self._heads(formats)]
        rows = [
            " & ".join(
                _tex_cell(cell, form, bold=(row, column) in self.best)
                for column, (cell, form) in enumerate(zip(cells, formats, strict=True))
            )
            for row, cells in enumerate(self.rows)
        ]
        align = "".join(
            form.column if form else "r" if name in self.numbers else "l"
            for name, form in zip(self.columns, formats, strict=True)
        )
        return "\n".join(
            [
                r"\begin{table}",
                r"\centering",
                rf"\caption{{{tex(caption)}}}",
                *([rf"\label{{tab:{label}}}"] if label else []),
                r"\smallskip",
                rf"{FITTED}{{\begin{{tabular}}{{{align}}}",
                r"\toprule",
                " & ".join(heads) + r" \\",
                r"\midrule",
                *(rf"{row} \\" for row in rows),
                r"\bottomrule",
                r"\end{tabular}}",
                *([rf"\par\smallskip{{\footnotesize {tex(note)}\par}}"] if note else []),
                r"\end{table}",
                "",
            ]
        )

    def _format(self, column: int) -> "_Siunitx | None":
        cells = [row[column] for row in self.rows]
        return _Siunitx.of(cells) if self.columns[column] in self.numbers else None

    def _heads(self, formats: "Sequence[_Siunitx | None]") -> "list[tuple[str, _Siunitx | None]]":
        return [
            (f"{name} ({form.suffix})" if form and form.suffix else name, form)
            for name, form in zip(self.columns, formats, strict=True)
        ]

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


@dataclass(frozen=True)
class _Siunitx:
    """How siunitx is to align a column of numbers."""

    column: str
    suffix: str  # that all cells end with, for example ``M`` for millions

    @classmethod
    def of(cls, cells: Sequence[str]) -> "_Siunitx | None":
        """Return the format of these cells; None where one is no number."""
        found = [NUMBER.fullmatch(cell) for cell in cells if cell not in ("", "–")]
        suffixes = {match["suffix"] or "" if match else None for match in found}
        if not found or len(suffixes) > 1 or None in suffixes:
            return None
        numbers = [match for match in found if match]
        signed = "-" if any(match["sign"] == "-" for match in numbers) else ""
        whole = max(len(match["whole"].replace(",", "")) for match in numbers)
        decimals = max(len(match["decimals"] or "") for match in numbers)
        spreads = [match["spread"].replace(",", "").partition(".") for match in numbers if match["spread"]]
        spread = max((len(before) + max(len(after), decimals) for before, _, after in spreads), default=0)
        form = f"{signed}{whole}.{decimals}" if decimals else f"{signed}{whole}"
        options = [f"table-format={form}({spread})" if spread else f"table-format={form}", "detect-weight"]
        options += ["separate-uncertainty"] if spread else []
        options += ["retain-explicit-plus"] if any(match["sign"] == "+" for match in numbers) else []
        return cls(f"S[{','.join(options)}]", suffixes.pop() or "")


def _tex_cell(cell: str, form: _Siunitx | None, *, bold: bool) -> str:
    """Return a cell as siunitx reads it, or as text."""
    if form is None:
        return rf"\textbf{{{tex(cell)}}}" if bold else tex(cell)
    if cell in ("", "–"):
        return "{--}" if cell else ""
    number = cell.removesuffix(form.suffix).strip().replace(",", "").replace("±", r"\pm")
    return rf"\bfseries {number}" if bold else number


def tex(text: str) -> str:
    """Return the text as LaTeX sets it; a minus before a number as one, and no space that could break ``1.2 ± 0.3``."""
    said = "".join(_TEX.get(letter, letter) for letter in text)
    said = said.replace(r" $\pm$ ", r"~$\pm$~")
    said = re.sub(r"(?<![\w.-])-(?=\d)", "$-$", said)
    return (
        "{}" + said if said.startswith(("[", "*")) else said
    )  # which would be the argument of the line above


def as_csv(rows: Sequence[Figures]) -> str:
    """Return a figure as a cell: empty where it is not there; several, as of seeds, with spaces between them."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return text.getvalue()


def as_json(rows: Sequence[Figures]) -> str:
    """Return a figure as JSON has it: null where it is not there, a list where there are several."""
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


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.{DIGITS}g}"
    if isinstance(value, list | tuple):
        return " ".join(str(_cell(each)) for each in value)
    return value


def _no_bar(cell: str) -> str:
    return cell.replace("|", "\\|")
