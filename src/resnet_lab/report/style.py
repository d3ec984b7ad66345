"""What all figures share: colours, fonts, and files that are the same byte for byte when drawn again."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
UNTOLD = {".png": ["Software"], ".svg": ["Date", "Creator"], ".pdf": ["CreationDate", "Creator", "Producer"]}
COLUMNS = 4  # panels side by side
LEGEND = 1.8  # inches beside the panels, and more where a name is long
LETTER = 0.065  # inches of a letter in the legend


@contextmanager
def canvas(panels: int, width: float = 3.6, height: float = 3.3) -> "Iterator[tuple[Figure, list[Axes]]]":
    """A figure with so many panels of `width` x `height` inches, their y axes shared, to draw on inside."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    columns = min(panels, COLUMNS)
    rows = -(-panels // columns)
    with rc_context(RC):
        figure = Figure(figsize=(width * columns + LEGEND, height * rows), layout="constrained")
        grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
        axes = list(grid.flat)
        for unused in axes[panels:]:
            unused.remove()
        yield figure, axes[:panels]


def legend(figure: "Figure", title: str | None = None) -> None:
    """One legend for all panels, beside them, so that it hides no line."""
    named = {
        name: handle
        for axes in figure.axes
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    longest = max(map(len, named), default=0)
    figure.set_figwidth(figure.get_figwidth() + max(0.0, 0.5 + LETTER * longest - LEGEND))
    figure.legend(named.values(), named, loc="outside right upper", title=title, alignment="left")


def save(figure: "Figure", path: Path) -> Path:
    """Write a PNG, SVG or PDF without date or version: the same records drawn again give the same bytes."""
    from matplotlib import rc_context

    untold = UNTOLD[path.suffix]
    with rc_context({**RC, "svg.hashsalt": "resnet-lab"}):  # else the ids in an SVG are drawn at random
        figure.savefig(path, dpi=150, metadata=dict.fromkeys(untold))
    return path


def looks(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Colour and dashes for each name, in order: the dashes change when the colours are used up."""
    return {
        name: {
            "color": COLOURS[index % len(COLOURS)],
            "linestyle": DASHES[index // len(COLOURS) % len(DASHES)],
        }
        for index, name in enumerate(dict.fromkeys(names))
    }


def plain_numbers(axis: Any) -> None:
    """Ticks as 0.1, 1, 20,000 rather than as powers or with an offset."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_formatter(NullFormatter())
