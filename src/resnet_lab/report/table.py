"""Show groups of runs as tables: what varies, the result with its interval and n, then the cost. Free of torch.

A table for the eye and the figures of a file are two sides of the same fields, so that no column is defined twice.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resnet_lab.columns import COLUMNS, NOTHING, Column, headings, metric, two, value_word
from resnet_lab.errors import unknown
from resnet_lab.report.against import AgainstBaseline, held_against, shared_variance
from resnet_lab.report.choices import FOLD, differing, shown
from resnet_lab.report.collect import FoundRun
from resnet_lab.report.compare import Group, Line, keys_of_rows
from resnet_lab.report.paper import Beside
from resnet_lab.report.spread import EQUAL, Difference, Spread, interval_of
from resnet_lab.report.tabular import Figures, Table, as_csv

MANY = 12  # further metrics, beyond which a table for the eye leaves out those of single classes
CHOICES = 5  # columns of choices that a table for the eye has at most
USUAL = ("parameters", "multiply_adds", "processor_seconds", "images_per_second")  # shown without `--show`
MEDIAN, BEST, AT_BEST = "median", "best", "at_best_val_epoch"
SAID = {MEDIAN: "median", BEST: "best", AT_BEST: "at best validation epoch"}
LOSSES = ("test/loss", "train/loss")  # in runs.csv, as these parts of the cost are
COSTS = ("total_seconds", "waited_seconds", "shared_cores", "accelerator", "devices", "threads")


@dataclass(frozen=True)
class Field:
    """A column of a table: its cells for the eye, and the figures behind them by the name that a file gives them."""

    title: str  # empty: in files alone
    cells: Sequence[str]
    figures: Mapping[str, Sequence[Any]]
    words: bool = False  # flush left
    result: bool = False  # what a best is looked for in


def group_table(groups: Sequence[Group], baseline: Sequence[str] = (), show: Sequence[str] = ()) -> Table:
    """Return the table of these groups: what varies, the error (per cent) with its interval and n, then the cost.

    At most CHOICES columns say what varies; `unshown` names the others. Columns that are empty or, of several groups,
    the same throughout are left out. `baseline`, for example ``model.shortcut=none``, adds differences; `show` adds
    columns by their name in table.csv, for example ``train_error``. UserError for a name that is not there.
    """
    return table_of(group_fields(groups, baseline, show), groups)


def unshown(groups: Sequence[Group]) -> list[str]:
    """Return the choices that vary, but for which the table of these groups has no column.

    Also those that go along with depth and net; a network's name says what it is made of.
    """
    shown, left = _ranked(groups)
    along = [key for key in differing(group.choices for group in groups) if not key.startswith("model.")]
    return list(dict.fromkeys([*left, *(key for key in along if key not in shown)]))


def group_csv(groups: Sequence[Group]) -> str:
    """Return the figures of `group_table` as CSV."""
    return as_csv(group_figures(groups))


def group_figures(groups: Sequence[Group], baseline: Sequence[str] = ()) -> list[Figures]:
    """Return the figures of `group_table`, unrounded, one line per group, with those of each seed."""
    return figures_of(group_fields(groups, baseline), len(groups))


def group_fields(
    groups: Sequence[Group], baseline: Sequence[str] = (), show: Sequence[str] = ()
) -> list[Field]:
    """Return every column of the groups, those for files alone included."""
    keys = keys_of_rows(groups)
    titled = _ranked(groups)[0] if len(groups) > 1 else ["depth", "kind", *keys]
    depths, kinds = [group.depth for group in groups], [group.kind for group in groups]
    named = headings(keys)
    held = held_against(groups, baseline, differing(group.choices for group in groups) if baseline else ())
    at_best = [group.at_best_epoch for group in groups]
    return [
        Field("", [], {"experiment": [group.choices["name"] for group in groups]}),
        Field(
            "depth" if "depth" in titled else "", [str(depth or "") for depth in depths], {"depth": depths}
        ),
        Field("net" if "kind" in titled else "", kinds, {"kind": kinds}, words=True),
        *(choice_field(groups, key, named[key] if key in titled else "") for key in keys),
        *measures(groups, held, baseline, metrics_of(groups), show),
        Field("", [], {"seeds": [[run.seed for run in group.finished] for group in groups]}),
        Field(
            SAID[AT_BEST] if AT_BEST in show else "",
            [str(each) for each in at_best],
            {"test_error_at_best_val_epoch": [each.mean for each in at_best]},
        ),
        remarks_field(groups),
    ]


def _each(objects: Sequence[object], prefix: str, *names: str) -> dict[str, Sequence[Any]]:
    """Return attributes of these objects as figures, by their name after the prefix."""
    return {f"{prefix}{name}": [getattr(each, name) for each in objects] for name in names}


def choice_field(lines: Sequence[Line], key: str, title: str) -> Field:
    values = [line.choices.get(key) for line in lines]
    words = any(isinstance(value, str | bool) for value in values)
    return Field(title, [shown(line.choices, key) for line in lines], {key: values}, words=words)


def measures(
    lines: Sequence[Line],
    held: Sequence[AgainstBaseline],
    baseline: Sequence[str],
    metrics: Sequence[str] = (),
    show: Sequence[str] = (),
) -> list[Field]:
    """Return what was measured: the result with its interval and n, then the cost, and what `show` names."""
    if wrong := [name for name in show if name not in (*COLUMNS, *SAID)]:
        raise unknown("--show", wrong[0], [*COLUMNS, *SAID])
    eye = [name for name in metrics if "/" not in name] if len(metrics) > MANY else metrics
    result = lines[0].objective if lines else COLUMNS["test_error"]
    results = [line.result for line in lines]
    timed = any(line.figure(COLUMNS["processor_seconds"]).n for line in lines)
    usual = (*USUAL, *show) if timed else (*USUAL, "train_seconds", *show)  # older records have no better
    shared = shared_variance(lines)
    # Of several settings an interval of the mean would take their differences for chance.
    intervals = [
        interval_of(each, shared) if line.settings == 1 else Difference()
        for line, each in zip(lines, results, strict=True)
    ]
    further = [column for name, column in COLUMNS.items() if name not in ("val_error", result.name)]
    metrics = [name for name in metrics if f"test/{name}" != result.key]
    prefix, asked = f"{result.name}_", [what for what in (MEDIAN, BEST) if what in show]
    values = _each(results, prefix, "mean", "std", "median", "best")
    values = {f"{prefix}of_seeds": [each.values for each in results], **values}
    ends = _each(intervals, prefix, "low", "high")
    return [
        _spread(result.validated, lines, shown=True),
        Field(result.title, [said(result, each) for each in results], values, result=True),
        Field("95 % interval", [_interval(result, each) for each in intervals], ends),
        Field("n", [str(line.n) for line in lines], _each(lines, "", "n")),
        *(Field(SAID[what], [result.text(getattr(each, what)) for each in results], {}) for what in asked),
        *(_spread(metric(name), lines, shown=name in eye) for name in metrics),
        *(_spread(column, lines, shown=column.name in usual) for column in further),
        *_differences(held, baseline, result),
    ]


def run_figures(groups: Sequence[Group]) -> list[Figures]:
    """Return every run with each choice that varies, its state, last and best figures, cost, device and commit.

    `counted` is false for a further run of a seed that a group has already.
    """
    keys = differing(group.choices for group in groups)
    if any(run.choices.get(FOLD) is not None for group in groups for run in group.runs):
        keys = [*keys, FOLD]
    further = [f"test/{name}" for name in metrics_of(groups)]
    return [
        _line(run, keys, further, counted=run in group.runs)
        for group in groups
        for run in (*group.runs, *group.copies)
    ]


def _line(run: FoundRun, keys: Sequence[str], further: Sequence[str], *, counted: bool) -> Figures:
    last, best, environment = run.record.last, run.record.best, run.record.environment
    figures = {
        f"last_{column.name}" if column.part == "last" else column.name: column.of(run.record)
        for column in COLUMNS.values()
    }
    return {
        "experiment": run.choices["name"],
        "run": run.path.name,
        "state": run.state,
        "error": run.error,
        "counted": counted,
        "label": run.label,
        "kind": run.kind,
        "depth": run.depth,
        "seed": run.choices["seed"],
        **{key: run.choices.get(key) for key in keys},
        "iterations": run.iterations,
        **figures,
        **{f"last_{name.replace('/', '_', 1)}": last.get(name) for name in (*LOSSES, *further)},
        "best_val_error": best.get("val/error"),
        "best_val_epoch": best.get("epoch"),
        **{name: getattr(run.record.cost, name) for name in COSTS},
        "commit": environment.git_commit,
        "dirty": environment.git_dirty,
        "code": environment.code,
    }


def paper_table(beside: Sequence[Beside]) -> Table:
    """Return the paper's figure and its statistic, ours, the difference, its interval and the verdict, in per cent."""
    return table_of(_paper_fields(beside))


def paper_csv(beside: Sequence[Beside]) -> str:
    """Return the figures of `paper_table`, unrounded."""
    return as_csv(figures_of(_paper_fields(beside), len(beside)))


def _paper_fields(beside: Sequence[Beside]) -> list[Field]:
    printed = [each.figure for each in beside]
    groups = [each.group for each in beside]
    tests = [group.test if group else Spread() for group in groups]
    found = [each.difference for each in beside]
    keys = keys_of_rows([group for group in groups if group])
    named = headings(keys)

    def ours(text: Callable[[Group], str]) -> list[str]:
        return [text(group) if group else "" for group in groups]

    papers = ["fail" if each.printed is None else each.printed for each in printed]
    figures = {"paper": papers} | _each(printed, "paper_", "statistic", "runs", "mean", "std")
    apart = ["" if math.isnan(each.mean) else f"{each.mean:+.2f}" for each in found]
    others = [[row["error"] for row in figure.others()] for figure in printed]
    errors = {"others": [" ".join(f"{error:g}" for error in each) for each in others]}
    return [
        Field("net", [each.label for each in printed], {"net": [each.label for each in printed]}, words=True),
        *(Field(named[key], [_choice(group, key) for group in groups], {}) for key in keys),
        Field("paper", [str(figure) for figure in printed], figures | _each(tests, "", "n"), words=True),
        Field("ours", ours(lambda group: str(group.test)), _each(tests, "", "mean", "std")),
        Field("n", ours(lambda group: str(group.test.n)), {}),
        Field("median", ours(lambda group: two(group.test.median)), _each(tests, "", "median")),
        Field("best", ours(lambda group: two(group.test.best)), _each(tests, "", "best")),
        Field("difference", apart, {"difference": [each.mean for each in found]}),
        Field("95 % interval", [each.interval for each in found], _each(found, "interval_", "low", "high")),
        Field("verdict", [each.verdict for each in beside], _each(beside, "", "verdict"), words=True),
        Field("others", [_range(sorted(each)) for each in others], errors, words=True),
    ]


def _choice(group: Group | None, key: str) -> str:
    return value_word(group.choices[key]) if group and group.choices.get(key) is not None else ""


def metrics_of(groups: Sequence[Group]) -> list[str]:
    """Return the further metrics that any of these recorded."""
    return list(dict.fromkeys(name for group in groups for name in group.metrics))


def table_of(fields: Sequence[Field], lines: Sequence[Line] = ()) -> Table:
    """Return the fields that have a title and a cell, the best result marked."""
    kept = [each for each in fields if each.title and any(cell not in ("", NOTHING) for cell in each.cells)]
    column = next((index for index, each in enumerate(kept) if each.result), 0)
    return Table(
        tuple(each.title for each in kept),
        tuple(zip(*(each.cells for each in kept), strict=True)),
        frozenset(each.title for each in kept if not each.words),
        frozenset((row, column) for row in best_of(lines) if len(lines) > 1),
    )


def best_of(lines: Sequence[Line]) -> list[int]:
    """Return the places of the lines with the best result: several where they are the same."""
    means = [line.result.mean for line in lines]
    known = [mean for mean in means if not math.isnan(mean)]
    if not known:
        return []
    best = max(known) if lines[0].objective.better == "higher" else min(known)
    return [index for index, mean in enumerate(means) if abs(mean - best) <= EQUAL]


def figures_of(fields: Sequence[Field], lines: int) -> list[Figures]:
    """Return the figures of all fields, one mapping per line."""
    return [
        {name: values[index] for field in fields for name, values in field.figures.items()}
        for index in range(lines)
    ]


def _ranked(groups: Sequence[Group]) -> tuple[list[str], list[str]]:
    """Return the choices with a column of their own, and those without room: what has few values comes last.

    A choice that goes along with another, as an iteration count with a schedule, comes after all that do not.
    """
    values = {"depth": [str(group.depth) for group in groups], "kind": [group.kind for group in groups]}
    values |= {key: [str(group.choices.get(key)) for group in groups] for key in keys_of_rows(groups)}
    varying = {key: found for key, found in values.items() if len(set(found)) > 1}
    first: dict[tuple[int, ...], str] = {}
    for key, found in varying.items():
        seen: dict[str, int] = {}
        first.setdefault(tuple(seen.setdefault(value, len(seen)) for value in found), key)
    alone = set(first.values())
    count = {key: len(set(found)) for key, found in varying.items()}
    order = sorted(varying, key=lambda key: (key not in ("depth", "kind"), key not in alone, -count[key]))
    return order[:CHOICES], order[CHOICES:]


def _spread(column: Column, lines: Sequence[Line], *, shown: bool) -> Field:
    """Return a figure of the record over the runs of each line: mean and standard deviation, or a fact of the net."""
    found = [line.figure(column) for line in lines]
    if column.part == "model":
        figures: dict[str, Sequence[Any]] = {column.name: [next(iter(each.values), None) for each in found]}
    else:
        figures = _each(found, f"{column.name}_", "mean", "std")
    return Field(column.title if shown else "", [said(column, each) for each in found], figures)


def said(column: Column, spread: Spread) -> str:
    """Return ``0.93 ± 0.32``, both with the same number of decimals."""
    if not spread.values:
        return NOTHING
    mean = column.text(spread.mean)
    decimals = len(mean.partition(".")[2])
    return f"{mean} ± {spread.std:,.{decimals}f}" if spread.n > 1 else mean


def interval_words(column: Column, found: Difference) -> str:
    """Return the interval as ``-0.60 to +1.34``; empty if there is none."""
    return "" if math.isnan(found.half) else f"{column.signed(found.low)} to {column.signed(found.high)}"


def _interval(column: Column, found: Difference) -> str:
    """Return the interval of a mean, cut off at what its unit allows."""
    if math.isnan(found.half):
        return ""
    low, high = (max(found.low, 0), min(found.high, 100)) if column.unit == "%" else (found.low, found.high)
    return f"{column.text(low)} to {column.text(high)}"


def _differences(held: Sequence[AgainstBaseline], baseline: Sequence[str], column: Column) -> list[Field]:
    """Return the columns of lines that are held against a baseline; none without one."""
    if not baseline:
        return []
    found, notes = [each.difference for each in held], [each.note for each in held]
    signed, means = [column.signed(each.mean) for each in found], [each.mean for each in found]
    intervals = [interval_words(column, each) for each in found]
    return [
        Field(f"minus {' '.join(baseline)}", signed, {"difference": means}),
        Field("its 95 % interval", intervals, _each(found, "interval_", "low", "high")),
        Field("difference", notes, {"difference_note": notes}, words=True),
    ]


def remarks_field(lines: Sequence[Line]) -> Field:
    return Field("remarks", [line.remarks for line in lines], _each(lines, "", "remarks"), words=True)


def _range(values: Sequence[float]) -> str:
    if not values:
        return ""
    return f"{values[0]:.2f}" if len(values) == 1 else f"{values[0]:.2f} to {values[-1]:.2f} ({len(values)})"
