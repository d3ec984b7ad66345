"""A line a run, for a spreadsheet or a data frame. Free of torch."""

from collections.abc import Sequence

from resnet_lab.columns import COLUMNS
from resnet_lab.report.choices import FOLD, differing
from resnet_lab.report.collect import FoundRun
from resnet_lab.report.compare import Group
from resnet_lab.report.table import metrics_of
from resnet_lab.report.tabular import Figures

LOSSES = ("test/loss", "train/loss")
CONDITIONS = ("total_seconds", "waited_seconds", "shared_cores", "accelerator", "devices", "threads")


def run_figures(groups: Sequence[Group]) -> list[Figures]:
    """Return every run with each choice that varies, its state, its last and best figures, its cost, device and commit.

    `counted` is false for a further run of a seed that a group has already.
    """
    keys = differing(group.choices for group in groups)
    if any(run.choices.get(FOLD) is not None for group in groups for run in group.runs):
        keys = [*keys, FOLD]
    further = [f"test/{name}" for name in metrics_of(groups)]
    return [
        _line(run, keys, further, counted=counted)
        for group in groups
        for runs, counted in ((group.runs, True), (group.copies, False))
        for run in runs
    ]


def _line(run: FoundRun, keys: Sequence[str], further: Sequence[str], *, counted: bool) -> Figures:
    last, best, cost = run.record.last, run.record.best, run.record.cost
    environment = run.record.environment
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
        **{
            f"last_{column.name}" if column.part == "last" else column.name: column.of(run.record)
            for column in COLUMNS.values()
        },
        **{f"last_{name.replace('/', '_', 1)}": last.get(name) for name in (*LOSSES, *further)},
        "best_val_error": best.get("val/error"),
        "best_val_epoch": best.get("epoch"),
        **{name: getattr(cost, name) for name in CONDITIONS},
        "commit": environment.git_commit,
        "dirty": environment.git_dirty,
        "code": environment.code,
    }
