"""Draw training and test error against iterations, as he2015 Figure 6 does. Free of torch."""

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from resnet_lab.columns import word
from resnet_lab.errors import several
from resnet_lab.report.choices import shown
from resnet_lab.report.collect import FoundRun
from resnet_lab.report.compare import Group, keys_of_rows
from resnet_lab.report.style import canvas, legend, looks, marker, panels_of, plain_numbers, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEW = 7  # lines that one panel takes when each kind of unit has but one
LOG_FROM = 8  # times between the largest and the smallest last error from which a linear axis hides the small
LONG_WAY = 20  # times between first and last errors from which it hides the way
PANELS = 24  # of a figure, so that its height can be looked at
ROOM = 1.7  # above the largest last error, so that the start of training is cut off as in the paper


def draw_curves(groups: Sequence[Group]) -> "Figure | None":
    """Draw the error (per cent) against iterations: a panel per kind, a line per depth, training thin, test bold.

    A line is the mean over the seeds; the band around the test error is their range. None while no run has
    come to the end of an epoch. Of many kinds and choices the first PANELS panels are drawn.
    """
    drawn = [group for group in groups if _followed(group)]
    if not drawn:
        return None
    every_panel = _panels(drawn)
    panels = dict(list(every_panel.items())[:PANELS])
    left_out = len(every_panel) - len(panels)
    look = looks(name for lines in panels.values() for name in lines)
    with canvas(len(panels)) as (figure, every):
        for axes, (title, lines) in zip(every, panels.items(), strict=True):
            for name, group in lines.items():
                _draw_group(axes, group, name, **look[name])
            axes.set(title=wrapped(title), xlabel="iterations")
            plain_numbers(axes.xaxis)
        every[0].set_ylabel("error (%)")
        _set_range(every[0], drawn)
        more = f"\n{several(left_out, 'more panel')}:\nask for fewer runs (--where)" if left_out else ""
        legend(figure, f"bold: test\nthin: training{more}")
    return figure


def _panels(groups: Sequence[Group]) -> dict[str, dict[str, Group]]:
    """Return the lines of each panel, by the panel's title and by name."""
    keys = keys_of_rows(groups)
    kinds = list(dict.fromkeys(group.kind for group in groups))
    depths = {group.depth for group in groups}
    if len(kinds) == len(groups) <= FEW and len(depths) == 1:
        return {_layers(groups[0]): {group.kind: group for group in groups}}
    panels: dict[str, dict[str, Group]] = {}
    for kind in kinds:
        lines = []
        for group in groups:
            if group.kind == kind:
                words = {"": _layers(group)} if len(depths) > 1 or not keys else {}
                lines.append(
                    (words | {key: f"{word(key)} {shown(group.choices, key)}" for key in keys}, group)
                )
        panels |= panels_of(lines, kind)
    return panels


def _layers(group: Group) -> str:
    return "any depth" if group.depth is None else f"{group.depth} layers"


def _draw_group(axes: "Axes", group: Group, name: str, **look: Any) -> None:
    iterations, tests = _over_seeds(group, "test/error")
    if tests:
        mean, mark = [statistics.fmean(values) for values in tests], marker(iterations)
        axes.plot(iterations, mean, linewidth=2.0, label=name, marker=mark, **look)
        low, high = [min(values) for values in tests], [max(values) for values in tests]
        axes.fill_between(iterations, low, high, color=look["color"], alpha=0.15, linewidth=0)
    iterations, trains = _over_seeds(group, "train/error")
    mean, mark = [statistics.fmean(values) for values in trains], marker(iterations)
    label = None if tests else name
    axes.plot(iterations, mean, linewidth=0.8, markersize=3, label=label, marker=mark, **look)


def _over_seeds(group: Group, metric: str) -> tuple[list[float], list[tuple[float, ...]]]:
    """Return iterations, and at each the metric of every seed, as far as all of them have come."""
    histories = [run.history for run in _followed(group)]
    columns = [history.get(metric, []) for history in histories]
    rows = zip(histories[0]["iteration"], *columns, strict=False)
    found = [row for row in rows if not any(math.isnan(value) for value in row)]
    return [iteration for iteration, *_ in found], [tuple(values) for _, *values in found]


def _followed(group: Group) -> list[FoundRun]:
    """Return the runs whose curves count: the finished ones, or before there are any all with a whole epoch."""
    runs = group.finished or group.runs
    return [run for run in runs if run.history.get("iteration")]


def _set_range(axes: "Axes", groups: Sequence[Group]) -> None:
    """Set a y range in which every last test error can be read.

    Logarithmic when they lie far apart, or so far below the first that a linear axis would leave out the way there.
    """
    curves = [values for group in groups if (values := _over_seeds(group, "test/error")[1])]
    starts, ends = ([statistics.fmean(values[index]) for values in curves] for index in (0, -1))
    if not ends:
        axes.set_ylim(0, 100)
    elif max(ends) > LOG_FROM * max(min(ends), 0.1) or min(starts) > LONG_WAY * max(max(ends), 0.1):
        axes.set_yscale("log")
        axes.set_ylim(max(0.5 * min(ends), 0.05), 100)
        plain_numbers(axes.yaxis)
    else:
        axes.set_ylim(0, min(100, ROOM * max(max(ends), 0.4)))
