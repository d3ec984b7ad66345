"""Groups of runs as tables: for the terminal, Markdown and CSV. Free of torch."""

import math
from collections.abc import Sequence
from typing import Any

from resnet_lab.report.against import Held, held_against
from resnet_lab.report.choices import differing, shown
from resnet_lab.report.compare import Group, told_apart_by
from resnet_lab.report.paper import Beside
from resnet_lab.report.spread import Spread
from resnet_lab.report.tabular import Figures, Table, as_csv, large, seconds, two, whole

MANY = 12  # further metrics, beyond which a table for the eye leaves out those of single classes


def group_table(groups: Sequence[Group], baseline: Sequence[str] = ()) -> Table:
    """Depth and kind of unit against parameters, multiply-adds, test error (per cent) and seconds.

    A column for each further choice in which groups differ, and for each further metric, but for those of classes
    where they are many; empty columns are left out. `baseline`, as ``model.shortcut=none``, adds differences. Median
    and best of the seeds are in `group_figures`.
    """
    keys, metrics = told_apart_by(groups), metrics_of(groups)
    if len(metrics) > MANY:
        metrics = [name for name in metrics if "/" not in name]
    rows = [
        {
            "depth": "" if group.depth is None else str(group.depth),
            "kind of unit": group.kind,
            **{key: shown(group.choices, key) for key in keys},
            "parameters": whole(group.fact("parameters")),
            "multiply-adds": large(group.fact("multiply_adds")),
            "validation error (%)": str(group.last("val/error")),
            "test error (%)": str(group.test),
            "n": str(group.n),
            **{name: _fraction(group.last(f"test/{name}")) for name in metrics},
            "at best val epoch": str(group.at_best_epoch) if group.at_best_epoch.n else "",
            "training error (%)": str(group.train),
            "train s": seconds(group.cost("train_seconds").mean),
            **difference_words(held, baseline),
            "remarks": group.remarks,
        }
        for group, held in zip(groups, _held(groups, baseline), strict=True)
    ]
    return Table.of(rows, words={"kind of unit", "difference", "remarks"})


def paper_table(beside: Sequence[Beside]) -> Table:
    """The paper's figure and its statistic, ours, the difference, its interval and the verdict; errors in per cent."""
    keys = told_apart_by([each.group for each in beside if each.group is not None])
    rows = []
    for each in beside:
        test = each.group.test if each.group else None
        rows.append(
            {
                "net": each.figure.label,
                **{key: shown(each.group.choices, key) if each.group else "" for key in keys},
                "paper": str(each.figure),
                "ours": str(test) if test else "",
                "n": str(test.n) if test else "",
                "median": two(test.median) if test else "",
                "best": two(test.best) if test else "",
                "difference": "" if math.isnan(each.difference.mean) else f"{each.difference.mean:+.2f}",
                "95 % interval": each.difference.interval,
                "verdict": each.verdict,
                "others": _range(sorted(row["error"] for row in each.figure.others())),
            }
        )
    return Table.of(rows, words={"net", "paper", "verdict", "others"})


def group_csv(groups: Sequence[Group]) -> str:
    """The figures of `group_table`, unrounded, one line a group."""
    return as_csv(group_figures(groups))


def group_figures(groups: Sequence[Group], baseline: Sequence[str] = ()) -> list[Figures]:
    """The figures of `group_table`, unrounded, with those of each seed."""
    keys, metrics = told_apart_by(groups), metrics_of(groups)
    return [
        {
            "experiment": group.choices["name"],
            "depth": group.depth,
            "kind": group.kind,
            **{key: group.choices.get(key) for key in keys},
            "parameters": group.fact("parameters"),
            "multiply_adds": group.fact("multiply_adds"),
            "n": group.n,
            "seeds": [run.seed for run in group.finished],
            "test_error_of_seeds": [run.last("test/error") for run in group.finished],
            "val_error_mean": group.last("val/error").mean,
            "val_error_std": group.last("val/error").std,
            "test_error_mean": group.test.mean,
            "test_error_std": group.test.std,
            "test_error_median": group.test.median,
            "test_error_best": group.test.best,
            "test_error_at_best_val_epoch": group.at_best_epoch.mean,
            "train_error_mean": group.train.mean,
            **{f"test_{name}_mean": group.last(f"test/{name}").mean for name in metrics},
            **{f"test_{name}_std": group.last(f"test/{name}").std for name in metrics},
            "train_seconds_mean": group.cost("train_seconds").mean,
            **difference_figures(held, baseline),
            "remarks": group.remarks,
        }
        for group, held in zip(groups, _held(groups, baseline), strict=True)
    ]


def paper_csv(beside: Sequence[Beside]) -> str:
    """The figures of `paper_table`, unrounded."""
    rows = [
        {
            "net": each.figure.label,
            "paper": "fail" if each.figure.printed is None else each.figure.printed,
            "paper_statistic": each.figure.statistic,
            "paper_runs": each.figure.runs,
            "paper_mean": each.figure.mean,
            "paper_std": each.figure.std,
            "n": each.group.n if each.group else 0,
            "mean": each.group.test.mean if each.group else None,
            "std": each.group.test.std if each.group else None,
            "median": each.group.test.median if each.group else None,
            "best": each.group.test.best if each.group else None,
            "difference": each.difference.mean,
            "interval_low": each.difference.low,
            "interval_high": each.difference.high,
            "verdict": each.verdict,
            "others": " ".join(f"{row['error']:g}" for row in each.figure.others()),
        }
        for each in beside
    ]
    return as_csv(rows)


def metrics_of(groups: Sequence[Group]) -> list[str]:
    """The further metrics that any of these recorded."""
    return list(dict.fromkeys(name for group in groups for name in group.metrics))


def difference_words(held: Held, baseline: Sequence[str]) -> dict[str, str]:
    """The cells of a line that is held against a baseline; none without one."""
    if not baseline:
        return {}
    found = held.difference
    return {
        f"minus {' '.join(baseline)}": "" if math.isnan(found.mean) else f"{found.mean:+.2f}",
        "95 % interval": found.interval,
        "difference": held.note,
    }


def difference_figures(held: Held, baseline: Sequence[str]) -> dict[str, Any]:
    """The same, unrounded."""
    if not baseline:
        return {}
    found = held.difference
    return {
        "difference": found.mean,
        "interval_low": found.low,
        "interval_high": found.high,
        "difference_note": held.note,
    }


def _held(groups: Sequence[Group], baseline: Sequence[str]) -> Sequence[Held]:
    return held_against(groups, baseline, differing(group.choices for group in groups) if baseline else ())


def _fraction(spread: Spread) -> str:
    """Metrics lie between 0 and 1, most of them: four digits."""
    if not spread.values:
        return "–"
    return f"{spread.mean:.4g}" if spread.n == 1 else f"{spread.mean:.4g} ± {spread.std:.2g}"


def _range(values: Sequence[float]) -> str:
    if not values:
        return ""
    return f"{values[0]:.2f}" if len(values) == 1 else f"{values[0]:.2f} to {values[-1]:.2f} ({len(values)})"
