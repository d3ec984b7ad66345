"""Draw what was measured in each layer, by depth: responses as he2015 Figure 7, and gradients. Free of torch."""

import math
import os
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from resnet_lab import reference
from resnet_lab.report.collect import FoundRun
from resnet_lab.report.compare import Group
from resnet_lab.report.style import canvas, legend, looks
from resnet_lab.runs.history import read_columns

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ORDER = "layer, from the input on"
Profile = dict[int, float]  # index of a layer, from the input on -> what was measured there


def draw_responses(groups: Sequence[Group]) -> "Figure | None":
    """Draw the standard deviation of each layer's response at the last measured epoch, in order and sorted.

    As he2015 Figure 7, whose lines are drawn thin where the runs answer it. None when nothing was measured.
    """
    ours = {group.net: profile for group in groups if (profile := measured(group, "layer_responses"))}
    if not ours:
        return None
    theirs = _paper() if any(run.answers == "he2015/fig7" for group in groups for run in group.runs) else {}
    look = looks([*ours, *theirs])
    with canvas(2) as (figure, (ordered, by_size)):
        for lines, width in ((ours, 1.8), (theirs, 0.7)):
            for name, profile in lines.items():
                values = list(profile.values())
                ordered.plot(list(profile), values, linewidth=width, label=name, **look[name])
                ranks = range(1, len(values) + 1)
                by_size.plot(ranks, sorted(values, reverse=True), linewidth=width, **look[name])
        ordered.set(xlabel=ORDER, title="in order", ylabel="standard deviation of the response")
        by_size.set(xlabel="layer, the largest first", title="sorted by size")
        ordered.set_ylim(bottom=0)
        legend(figure, "bold: ours\nthin: he2015" if theirs else None)
    return figure


def draw_gradients(groups: Sequence[Group]) -> "Figure | None":
    """Draw the norm of each layer's gradient at the first and the last measured epoch; None when none was measured."""
    first = {group.net: measured(group, "gradient_norms", last=False) for group in groups}
    last = {group.net: measured(group, "gradient_norms") for group in groups}
    if not any(last.values()):
        return None
    look = looks(last)
    with canvas(2) as (figure, panels):
        for axes, when, profiles in zip(panels, ("first", "last"), (first, last), strict=True):
            for name, profile in profiles.items():
                axes.plot(list(profile), list(profile.values()), linewidth=1.8, label=name, **look[name])
            axes.set(xlabel=ORDER, title=f"{when} measured epoch")
        panels[0].set(yscale="log", ylabel="norm of the gradient")
        legend(figure)
    return figure


def measured(group: Group, what: str, *, last: bool = True) -> Profile:
    """Return the mean over the seeds for each layer, from ``layer_responses.csv`` or ``gradient_norms.csv``.

    At the last measured epoch, or at the first one. Empty when nothing was measured.
    """
    profiles = [profile for run in group.runs if (profile := _measured(run, what, last))]
    layers = sorted(set.intersection(*(set(profile) for profile in profiles))) if profiles else []
    return {layer: statistics.fmean(profile[layer] for profile in profiles) for layer in layers}


def _measured(run: FoundRun, what: str, last: bool) -> Profile:
    path = os.path.join(run.path, f"{what}.csv")  # noqa: PTH118 (asked of every run, where few have it)
    if not os.path.exists(path):  # noqa: PTH110
        return {}
    columns = read_columns(Path(path))
    rows = zip(*(columns.get(name, []) for name in ("epoch", "layer_index", "value")), strict=True)
    whole = [row for row in rows if not any(math.isnan(cell) for cell in row)]
    if not whole:
        return {}
    epoch = (max if last else min)(row[0] for row in whole)
    return {int(layer): value for at, layer, value in whole if at == epoch}


def _paper() -> dict[str, Profile]:
    """Return he2015 Figure 7, read off the drawing, by the names of our groups."""
    lines: dict[str, Profile] = {}
    for row in reference.table("he2015/fig7"):
        kind, depth = row["model"].split("-")
        name = f"{'plain' if kind == 'plain' else 'residual (basic, A)'}, {depth} layers"
        lines.setdefault(name, {})[row["layer_index"]] = row["response_std_approx"]
    return lines
