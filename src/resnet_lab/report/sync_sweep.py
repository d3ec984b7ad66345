"""What W&B is told of whole sweeps: the results of each as a run, and a view of its runs. Free of torch."""

from collections.abc import Sequence
from pathlib import Path

from resnet_lab.report.collect import Run
from resnet_lab.report.compare import summarise
from resnet_lab.report.conclude import conclude
from resnet_lab.report.paper import answered
from resnet_lab.report.publish import title_of
from resnet_lab.report.table import group_table, paper_table
from resnet_lab.tracking import workspace
from resnet_lab.tracking.results import Results


def results_of(runs: Sequence[Run]) -> Results:
    """The tables of a report on the runs of one experiment, and what it concludes."""
    groups = summarise(runs)
    _, beside = answered(runs, groups)
    tables = {"results": group_table(groups)} | ({"beside_the_paper": paper_table(beside)} if beside else {})
    return Results(
        str(runs[0].choices["name"]),
        {name: (table.columns, table.rows) for name, table in tables.items()},
        {"title": title_of(runs), "conclusion": conclude(groups, beside)},
    )


def view_of(runs: Sequence[Run], folder: Path, project: str, entity: str) -> workspace.View:
    """The view of all experiments among the runs: a line each net, or each configuration where a net has several."""
    groups = summarise(runs)
    labels = {group.runs[0].label for group in groups}
    names = list(dict.fromkeys(str(run.choices["name"]) for run in runs))
    return workspace.View(
        name=folder.resolve().name,
        project=project,
        entity=entity,
        groups=names,
        by=["label"] if len(labels) == len(groups) else ["label", "same_but_seed"],
        tables=["results", *(["beside_the_paper"] if any(run.answers for run in runs) else [])],
    )
