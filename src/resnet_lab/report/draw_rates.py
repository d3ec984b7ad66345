"""Draw which learning rates train: the last test error against the learning rate. Free of torch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from resnet_lab.columns import value_word, word
from resnet_lab.report.choices import differing
from resnet_lab.report.compare import FAIL_ABOVE, Group
from resnet_lab.report.style import canvas, legend, looks, plain_numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RATE = "recipe.lr"
CHANCE = 100.0  # per cent: where a run that diverged is drawn


def rate_series(groups: Sequence[Group]) -> dict[str, list[Group]]:
    """Return groups that differ only in the learning rate, by what else they differ in; empty below three rates."""
    ended = [group for group in groups if group.n or group.diverged]
    keys = differing(group.choices for group in ended)
    if len({group.choices[RATE] for group in ended}) < 3:
        return {}
    series: dict[str, list[Group]] = {}
    for group in sorted(ended, key=lambda group: group.choices[RATE]):
        others = {key: group.choices.get(key) for key in keys if key != RATE}
        name = ", ".join(f"{word(key)} {value_word(value)}" for key, value in others.items())
        series.setdefault(name or group.kind, []).append(group)
    return series


def draw_rates(groups: Sequence[Group]) -> "Figure | None":
    """Draw the test error (per cent, mean and range over the seeds) against the learning rate; x: the loss diverged.

    None when fewer than three learning rates were tried.
    """
    series = rate_series(groups)
    if not series:
        return None
    look = looks(series)
    with canvas(1, width=4.6) as (figure, (axes,)):
        for name, members in series.items():
            trained = [group for group in members if group.n]
            rates, means = [group.choices[RATE] for group in trained], [group.test.mean for group in trained]
            below = [group.test.mean - min(group.test.values) for group in trained]
            above = [max(group.test.values) - group.test.mean for group in trained]
            axes.errorbar(rates, means, [below, above], marker="o", markersize=4, label=name, **look[name])
            lost = [group.choices[RATE] for group in members if group.diverged]
            axes.plot(lost, [CHANCE] * len(lost), "x", color=look[name]["color"], clip_on=False)
        if any(group.like_he2016 for members in series.values() for group in members):
            label = f"{FAIL_ABOVE:.0f} %, above which it fails (he2016)"
            axes.axhline(FAIL_ABOVE, color="#888888", linewidth=0.8, label=label)
        axes.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="test error (%)")
        axes.set_ylim(top=CHANCE)
        plain_numbers(axes.xaxis)
        plain_numbers(axes.yaxis)
        legend(figure, "x: diverged")
    return figure
