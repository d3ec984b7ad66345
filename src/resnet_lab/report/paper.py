"""Compare our figures with the paper's, by one rule. Which run answers which figure: paper.yaml."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from resnet_lab import reference
from resnet_lab.errors import several
from resnet_lab.report.collect import FoundRun
from resnet_lab.report.compare import Group
from resnet_lab.report.spread import Difference, Spread, against_figure, welch

RULE = (
    "Ours is higher or lower than the paper's where the 95 % interval of the difference leaves out 0, and "
    "agrees where it does not: with few runs the interval is wide, and agreeing says little. The interval is "
    "that of Welch's t where the paper prints a standard deviation. Where it does not, our own stands for it: "
    "t(n - 1) s sqrt(1/n + 1/m), with s over our n runs and m the number of the paper's, 1 where it does not "
    "say. A median is held against our median, with an interval sqrt(pi/2) times as wide; any other figure, and "
    "a mean where one is printed, against our mean. Not comparable: other data, another schedule, fewer runs "
    "than the paper's, or runs without a spread. fails: the median run diverges or ends above 20 % test error "
    "(he2016)."
)
MEDIAN = math.sqrt(math.pi / 2)  # standard error of a median over that of a mean, for many normal values
NET = {"data": "data.name", "protocol": "protocol"}  # a column of the community's figures -> the choice
NET |= {name: f"model.{name}" for name in ("depth", "block", "shortcut", "order")}
FEW = 2  # runs that show nothing but a large difference


@dataclass(frozen=True, eq=False)
class Figure:
    """A figure of a paper (per cent), and which runs answer it."""

    label: str
    printed: float | str | None  # None: the paper prints "fail"; text where the paper has no number
    statistic: str  # single, best, median
    runs: int  # that the figure stands on; 1 where the paper does not say
    mean: float | None  # printed beside it
    std: float | None
    run: Mapping[str, Any]  # the choices of a run that answers it; a list allows any of its values
    asks: Mapping[str, Any]  # what must hold for a fair comparison
    never: str | None  # why no run can be compared with it

    def __str__(self) -> str:
        if not isinstance(self.printed, float):
            return "fail" if self.printed is None else self.printed
        words = [f"{self.statistic} of {self.runs}"] if self.runs > 1 else []
        if self.mean is not None:
            words.append(f"mean {self.mean:.2f}" + (f" ± {self.std:.2f}" if self.std is not None else ""))
        return f"{self.printed:.2f}" + (f" ({'; '.join(words)})" if words else "")

    @property
    def compared(self) -> float:
        """Return the figure that ours is held against: its mean where one is printed."""
        return self.mean if self.mean is not None else float(self.printed or "nan")

    def others(self) -> list[dict[str, Any]]:
        """Return what other reimplementations reached with this net, data and protocol: rows of `community`."""
        return [row for row in reference.community() if _same_net(row, self)]

    def answered_by(self, group: Group) -> bool:
        return all(_among(group.choices.get(key), value) for key, value in self.run.items())

    def against(self, ours: Spread) -> Difference:
        """Return ours minus this figure, with the interval of RULE; of a median without a mean, our median."""
        if self.std is not None:
            return welch(ours.mean - self.compared, ours.std, ours.n, self.std, self.runs)
        median = self.statistic == "median" and self.mean is None
        mean, wider = (ours.median, MEDIAN) if median else (ours.mean, 1.0)
        return against_figure(mean - self.compared, ours.std, ours.n, self.runs, wider=wider)


@dataclass(frozen=True)
class Beside:
    """A figure of a paper beside the runs that answer it; `group` is None when none was started."""

    figure: Figure
    group: Group | None
    verdict: str  # agrees, higher, lower, fails ..., trains ..., not comparable: why, not run, not finished

    @property
    def difference(self) -> Difference:
        """Return ours minus the paper's, in percentage points; nan where there is nothing to subtract."""
        if self.group is None or not isinstance(self.figure.printed, float):
            return Difference()
        return self.figure.against(self.group.test)


def answered(runs: Sequence[FoundRun], groups: Sequence[Group]) -> tuple[str | None, list[Beside]]:
    """Return the paper's table that runs answer, and its figures beside those of their groups; None without one."""
    answers = next((run.answers for run in runs if run.answers), None)
    return answers, beside_the_paper(groups, answers) if answers else []


def beside_the_paper(groups: Sequence[Group], name: str) -> list[Beside]:
    """Return every figure of a table, such as ``he2015/table6``, with each group that answers it, in the paper's order.

    Raises UserError for a table that is not there; one that no run answers, as ``he2015/fig7``, gives none.
    """
    found = []
    for figure in figures(name):
        answering: list[Group | None] = [group for group in groups if figure.answered_by(group)]
        found += [Beside(figure, group, verdict(figure, group)) for group in answering or [None]]
    return found


def figures(name: str) -> list[Figure]:
    """Return the figures of a table that runs can answer."""
    rows = reference.table(name)
    page = _pages().get(name, {"rows": []})
    made = []
    for entry in page["rows"]:
        said = {**page, **entry}
        (row,) = [row for row in rows if all(row[column] == value for column, value in entry["of"].items())]
        printed = row[said["figure"]]
        made.append(
            Figure(
                label=entry["label"],
                printed=float(printed) if isinstance(printed, int | float) else printed,
                statistic=said.get("statistic", "single"),
                runs=said.get("runs", 1),
                mean=row.get(said.get("mean", "")),
                std=row.get(said.get("std", "")),
                run={**page["run"], **entry.get("run", {})},
                asks={**page.get("asks", {}), **entry.get("asks", {})},
                never=entry.get("never"),
            )
        )
    return made


def verdict(figure: Figure, group: Group | None) -> str:
    """Judge a group against a figure, by RULE."""
    if group is None:
        return "not run"
    if group.n == 0 and not group.fails:
        return f"not finished: {group.remarks}"
    why_not = figure.never or different_question(figure, group) or _too_few(figure, group)
    if why_not:
        return f"not comparable: {why_not}"
    if figure.printed is None or group.fails:
        ours, theirs = "fails" if group.fails else "trains", "fails" if figure.printed is None else "trains"
        return f"{ours}, as the paper's" if ours == theirs else f"{ours}, the paper's {theirs}"
    found = figure.against(group.test)
    if found.way == "unknown":
        return f"not comparable: {found.how}"
    if found.way == "same":
        return f"agrees: but n = {group.n} shows no small difference" if group.n <= FEW else "agrees"
    return found.way


def different_question(figure: Figure, group: Group) -> str | None:
    """Say in what data and schedule differ from what the paper's figure asks for."""
    if group.choices["debug"]:
        return "a debug run"
    iterations = [run.iterations for run in group.finished] or [group.choices["recipe.iterations"]]
    done = {**group.choices, "iterations": iterations[0]}
    different = [
        f"{key} {_said(done.get(key))}, not {_said(asked)}"
        for key, asked in figure.asks.items()
        if done.get(key) != asked
    ]
    return "; ".join(different) or None


def _too_few(figure: Figure, group: Group) -> str | None:
    """Say why our seeds, or the paper's runs, do not carry a comparison."""
    if isinstance(figure.printed, str):
        return f"the paper says {figure.printed}"
    n = group.n + group.diverged
    if n < figure.runs:
        return f"{several(n, 'run')}, the paper has {figure.runs}"
    return None


def _same_net(row: Mapping[str, Any], figure: Figure) -> bool:
    """Return whether a community row is of this figure's net, data and protocol."""
    asked = {**figure.asks, **figure.run}
    return all(key in asked and _among(row[column], asked[key]) for column, key in NET.items())


def _among(value: Any, allowed: Any) -> bool:
    return value in allowed if isinstance(allowed, list) else value == allowed


def _said(value: Any) -> str:
    if value is None:
        return "all"
    return f"{value:,}" if type(value) is int else str(value).lower()


@cache
def _pages() -> dict[str, Any]:
    loaded: dict[str, object] = yaml.safe_load(
        files(__package__).joinpath("paper.yaml").read_text(encoding="utf-8")
    )
    return loaded
