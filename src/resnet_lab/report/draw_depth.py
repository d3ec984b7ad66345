"""Draw the result against the main choice of a sweep, and against the learning rate. Free of torch."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from resnet_lab.columns import value_word, word
from resnet_lab.report.against import shared_variance
from resnet_lab.report.choices import differing, shown
from resnet_lab.report.compare import FAIL_ABOVE, Group, keys_of_rows, ranked
from resnet_lab.report.spread import Pooled, Spread, interval_of
from resnet_lab.report.style import canvas, legend, looks, panels_of, plain_numbers, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DEPTH = "layers"
RATE = "recipe.lr"
CHANCE = 100.0  # per cent: where a run that diverged is drawn
FEW = 6  # values that the axis names one by one
WIDE = 20  # times between the largest and the smallest value from which the axis is logarithmic


def draw_depth(groups: Sequence[Group]) -> "Figure | None":
    """Draw the test error (per cent) of every seed, its mean and the mean's 95 % interval, against the main choice.

    The main choice is the depth where nets of several depths were trained, and otherwise the key with the most
    values. A line joins the groups that differ in it alone. None while fewer than two of its values have a result.
    """
    ended = [group for group in groups if group.result.n]
    main, shared = main_choice(ended), shared_variance(ended)
    if main is None:
        return None
    values = sorted({_value(group, main) for group in ended}, key=ranked)
    names = not all(isinstance(value, int | float) for value in values)
    panels = panels_of(_series(ended, main))
    look = looks(name for lines in panels.values() for name in lines)
    column = ended[0].objective
    with canvas(len(panels), width=4.2, height=1.2 + 0.3 * len(values) if names else 3.3) as (figure, every):
        for axes, (title, lines) in zip(every, panels.items(), strict=True):
            for index, (name, series) in enumerate(lines.items()):
                places = _places(values, names, index - (len(lines) - 1) / 2)
                points = sorted((places[_value(group, main)], group.result) for group in series)
                _draw_series(axes, points, shared, names, label=name, **look[name])
            axes.set_title(wrapped(title))
            if names:
                axes.set_yticks(range(len(values)), [wrapped(str(value)) for value in values])
                axes.set(xlabel=column.title, ylim=(len(values) - 0.5, -0.5))
            else:
                axes.set_xlabel(word(main))
                _label(axes, values)
        axis = "x" if names else "y"
        for axes in every if names else every[:1]:
            low, high = getattr(axes, f"get_{axis}lim")()
            if column.unit == "%":
                getattr(axes, f"set_{axis}lim")(max(0.0, low), min(high, 102.0))
            plain_numbers(getattr(axes, f"{axis}axis"))
        if not names:
            every[0].set_ylabel(column.title)
        seeds = any(group.result.n > 1 for group in ended)
        legend(figure, "mean, 95 % interval\ndots: seeds" if seeds else None)
    return figure


def _places(values: Sequence[Any], names: bool, step: float) -> dict[Any, float]:
    """Return where each value stands on its axis, a little to the side for each line, so that none hides another."""
    if names:
        return {value: index + 0.12 * step for index, value in enumerate(values)}
    if _logarithmic(values):
        return {value: value * 1.04**step for value in values}
    return {value: value + 0.008 * step * (values[-1] - values[0]) for value in values}


def _logarithmic(values: Sequence[Any]) -> bool:
    return values[0] > 0 and values[-1] > WIDE * values[0]


def _draw_series(
    axes: "Axes",
    points: Sequence[tuple[float, Spread]],
    shared: Pooled | None,
    names: bool,
    *,
    linestyle: str,
    **style: Any,
) -> None:
    """Draw one line: errors upwards against numbers, or to the right beside names."""
    places, means = [place for place, _ in points], [test.mean for _, test in points]
    bars = [0.0 if math.isnan(half := interval_of(test, shared).half) else half for _, test in points]
    style |= {"marker": "o", "markersize": 4, "capsize": 3, "zorder": 3}
    if names:
        axes.errorbar(means, places, xerr=bars, linestyle="none", **style)
    else:
        axes.errorbar(places, means, yerr=bars, linestyle=linestyle, **style)
    for place, test in points:
        along = [place] * test.n
        x, y = (test.values, along) if names else (along, test.values)
        axes.plot(x, y, "o", color=style["color"], alpha=0.4, markersize=3)


def _label(axes: "Axes", values: Sequence[Any]) -> None:
    if _logarithmic(values):
        axes.set_xscale("log")
    if len(values) <= FEW and not _logarithmic(values):
        axes.set_xticks(values, map(str, values))
    else:
        plain_numbers(axes.xaxis)


def main_choice(groups: Sequence[Group]) -> str | None:
    """Return the depth where it varies, else the key with the most values; None where nothing varies."""
    if len({group.depth for group in groups} - {None}) > 1:
        return DEPTH
    counts = {key: len({str(group.choices.get(key)) for group in groups}) for key in keys_of_rows(groups)}
    if (kinds := len({group.kind for group in groups})) > 1:
        counts["net"] = kinds
    return max(counts, key=lambda key: counts[key], default=None)


def _value(group: Group, main: str) -> object:
    value = {DEPTH: group.depth, "net": group.kind}.get(main, group.choices.get(main))
    return value if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _series(groups: Sequence[Group], main: str) -> list[tuple[dict[str, str], list[Group]]]:
    """Return the groups that differ in the main choice alone, with the words that tell them from the others."""
    keys = [key for key in keys_of_rows(groups) if key != main]
    kinds = {group.kind for group in groups}
    found: dict[tuple[str, ...], tuple[dict[str, str], list[Group]]] = {}
    for group in groups:
        words = {"kind": group.kind} if len(kinds) > 1 and main != "net" else {}
        words |= {key: f"{word(key)} {shown(group.choices, key)}" for key in keys}
        if main != DEPTH and len({each.depth for each in groups}) > 1:
            words["depth"] = f"{group.depth} layers"
        found.setdefault(tuple(words.values()), (words, []))[1].append(group)
    return [
        (words or {"kind": "" if main == "net" else series[0].kind}, series)
        for words, series in found.values()
    ]


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
