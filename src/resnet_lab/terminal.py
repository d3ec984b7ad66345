"""Tables, notes and lengths of time as a terminal shows them. Rich loads on use."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDTH = 1000  # columns of what goes to a file: a table takes what it needs
GAP = 2  # columns between two cells
NOTES = 10  # that are shown below a table


def said(seconds: float) -> str:
    """Return a length of time in words: ``40 s``, ``12 min``, ``3.4 h``, ``2.1 days``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"


def fitted(
    rows: Sequence[Mapping[str, str]],
    console: "Console",
    *,
    words: Sequence[str],
    spare: Sequence[str] = (),
    styles: Mapping[str, str] | None = None,
) -> "tuple[Table, list[str]]":
    """Return a table as wide as the terminal holds, and the names of the columns that it had no room for.

    `words` are set flush left and the others flush right. The columns of `spare` are left out in that order until the
    rest fits, and those that are empty throughout always. The first column folds where even that is too wide.
    `styles` gives the colour of a cell by its text.
    """
    from rich.table import Table
    from rich.text import Text

    names = [
        name for name in (rows[0] if rows else {}) if name in words[:1] or any(row[name] for row in rows)
    ]
    dropped: list[str] = []
    for name in spare:
        if name in names and _width(names, rows) > console.width:
            names.remove(name)
            dropped.append(name)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, GAP, 0, 0))
    for index, name in enumerate(names):
        table.add_column(
            Text(name),
            justify="left" if name in words else "right",
            no_wrap=index > 0,
            overflow="fold" if index == 0 else "ellipsis",
            min_width=None if index == 0 else max(len(name), *(len(row[name]) for row in rows)),
        )
    for row in rows:
        table.add_row(*(Text(row[name], style=(styles or {}).get(row[name], "")) for name in names))
    return table, dropped


def _width(names: Sequence[str], rows: Sequence[Mapping[str, str]]) -> int:
    return sum(GAP + max(len(name), *(len(row[name]) for row in rows)) for name in names) - GAP


def notes(texts: Mapping[str, str], rest: str, most: int = NOTES) -> list[str]:
    """Return a line for each name that there is something to say of, at most `most`; `rest` is where to see more."""
    lines = [f"{name}: {text}" for name, text in texts.items() if text]
    more = len(lines) - most
    return lines if more <= 0 else [*lines[:most], f"and {more} more: {rest}"]


def lines_console() -> "Console":
    """Return a terminal as it is; elsewhere one so wide that no line of a table is cut."""
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=max(WIDTH, console.width))
