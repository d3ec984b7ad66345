"""Set colours, fonts, sizes, panels and legends of all figures, which are the same bytes when drawn again."""

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

T = TypeVar("T")

# Okabe and Ito's colours, which colour-blind readers tell apart too; their yellow is too pale for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DASHES = ("-", "--", ":")
RC: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so it is there everywhere
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "legend.title_fontsize": 8,
}
LEFT_OUT = {
    ".png": ["Software"],
    ".svg": ["Date", "Creator"],
    ".pdf": ["CreationDate", "Creator", "Producer"],
}
COLUMNS = 4  # panels side by side
LETTER = 0.065  # inches of a letter in the legend
LINE = 0.165  # inches of a line of the legend
MOST = 8  # lines in one panel: more cannot be distinguished
NO_BREAK = "\N{NO-BREAK SPACE}"
TITLE = 36  # letters of a title or of a line of the legend

# The widths that `--width` takes, in inches: one column of two, and the page, as IEEE and CVPR set them.
WIDTHS = {"column": 3.4, "page": 7.0}
PAPER: Any = {"font.size": 8, "axes.titlesize": 8, "legend.fontsize": 7, "legend.title_fontsize": 7}
PAPER_HEIGHT = 2.3  # inches of a panel in a paper
_width: ContextVar[float | None] = ContextVar("width", default=None)


@contextmanager
def for_paper(width: str | None) -> Iterator[None]:
    """Draw the figures inside as wide as `width`, one of WIDTHS, says, with fonts that match; None: for a screen."""
    token = _width.set(WIDTHS[width] if width else None)
    try:
        yield
    finally:
        _width.reset(token)


@contextmanager
def canvas(panels: int, width: float = 3.6, height: float = 3.3) -> "Iterator[tuple[Figure, list[Axes]]]":
    """Yield a figure with so many panels of `width` x `height` inches, which share their y axes.

    Inside `for_paper` the whole figure is as wide as the paper's column or page.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    paper = _width.get()
    columns = min(panels, COLUMNS if paper is None else round(paper / WIDTHS["column"]))
    rows = -(-panels // columns)
    size = (width * columns, height * rows) if paper is None else (paper, PAPER_HEIGHT * rows)
    with rc_context({**RC, **(PAPER if paper else {})}):
        figure = Figure(figsize=size, layout="constrained")
        axes = list(figure.subplots(rows, columns, sharey=True, squeeze=False).flat)
        for unused in axes[panels:]:
            unused.remove()
        yield figure, axes[:panels]


def legend(figure: "Figure", title: str | None = None) -> None:
    """Add one legend for all panels, beside them, or below them in a paper. The figure grows, so that none is cut."""
    named = {
        wrapped(name): handle
        for axes in figure.axes
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    names, heads = list(named), (title or "").split("\n")
    beside = _width.get() is None
    columns = 1 if beside else max(1, int(figure.get_figwidth() / (0.6 + LETTER * _longest(names))))
    rows = [names[at : at + columns] for at in range(0, len(names), columns)]
    lines = sum(max(name.count("\n") + 1 for name in row) for row in rows)
    height = 0.2 + LINE * (lines + (len(heads) if title else 0))
    if beside:
        figure.set_figwidth(figure.get_figwidth() + max(1.2, 0.6 + LETTER * _longest([*names, *heads])))
        figure.set_figheight(max(figure.get_figheight(), height))
    else:
        figure.set_figheight(figure.get_figheight() + height)
    where: Any = "outside right upper" if beside else "outside lower center"
    figure.legend(named.values(), names, loc=where, title=title, alignment="left", ncols=columns)


def _longest(texts: Iterable[str]) -> int:
    return max((len(line) for text in texts for line in text.split("\n")), default=0)


def wrapped(text: str) -> str:
    """Return a title or a name in lines that its panel or the legend has room for, broken after commas."""
    paper = _width.get()
    whole = text.replace(" ", NO_BREAK).replace("," + NO_BREAK, ", ")
    lines = textwrap.fill(whole, TITLE if paper is None else int(paper * 9), break_long_words=False)
    return lines.replace(NO_BREAK, " ")


def panels_of(lines: Sequence[tuple[dict[str, str], T]], title: str = "") -> dict[str, dict[str, T]]:
    """Return the title of each panel with its lines by name, at most MOST in a panel.

    A line comes with what describes it, by key. Too many are divided by the key that has the fewest values, and of
    these by the one that divides them most evenly; what no key divides is cut into parts of MOST lines.
    """
    values = {key: [words.get(key, "") for words, _ in lines] for words, _ in lines for key in words}
    counts = [(Counter(found), key) for key, found in values.items()]
    dividing = [(len(count), max(count.values()), key) for count, key in counts if len(count) > 1]
    if len(lines) > MOST and dividing:
        *_, key = min(dividing)
        panels: dict[str, dict[str, T]] = {}
        for value in dict.fromkeys(values[key]):
            rest = [
                ({name: said for name, said in words.items() if name != key}, item)
                for words, item in lines
                if words.get(key, "") == value
            ]
            panels |= panels_of(rest, ", ".join(filter(None, (title, value))))
        return panels
    named: dict[str, T] = {}
    for words, item in lines:
        name = ", ".join(filter(None, words.values()))
        named[name if name not in named else f"{name} ({len(named) + 1})"] = item
    parts = [dict(list(named.items())[at : at + MOST]) for at in range(0, len(named), MOST)]
    return {
        title if len(parts) == 1 else f"{title} ({part} of {len(parts)})".strip(): each
        for part, each in enumerate(parts, 1)
    }


def marker(points: Sequence[object]) -> str:
    """Return the marker of a line: a dot where there is but one point, which a line alone would not show."""
    return "o" if len(points) == 1 else ""


def save(figure: "Figure", path: Path) -> Path:
    """Write a PNG, SVG or PDF without date or version: the same records drawn again give the same bytes."""
    from matplotlib import rc_context

    with rc_context({**RC, "svg.hashsalt": "resnet-lab"}):  # else the ids in an SVG are drawn at random
        figure.savefig(path, dpi=150, metadata=dict.fromkeys(LEFT_OUT[path.suffix]))
    return path


def looks(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return colour and dashes for each name, in order: the dashes change when the colours are used up."""
    styles = cycle({"color": colour, "linestyle": dashes} for dashes in DASHES for colour in COLOURS)
    return dict(zip(dict.fromkeys(names), styles, strict=False))


def plain_numbers(axis: Any) -> None:
    """Write ticks as 0.1, 1, 20,000 rather than as powers or with an offset."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_formatter(NullFormatter())
