"""What W&B shows of whole sweeps: the results of each as a run, and a view of its runs. Free of torch."""

from collections.abc import Sequence
from pathlib import Path

from resnet_lab.report.collect import FoundRun
from resnet_lab.report.compare import summarise
from resnet_lab.report.parts import slug
from resnet_lab.report.publish import parts_of, title_of
from resnet_lab.report.table import paper_table
from resnet_lab.report.tabular import Table
from resnet_lab.tracking import workspace
from resnet_lab.tracking.results import Results


def results_of(runs: Sequence[FoundRun]) -> Results:
    """The tables of a report on the runs of one experiment, and what it concludes."""
    parts = parts_of(runs)
    tables: dict[str, Table] = {}
    for part in parts:
        end = f"_{slug(part.name)}" if part.name else ""
        tables[f"results{end}"] = part.table
        if beside := part.answered[1]:
            tables[f"beside_the_paper{end}"] = paper_table(beside)
    return Results(
        str(runs[0].choices["name"]),
        {name: (table.columns, table.rows) for name, table in tables.items()},
        {"title": title_of(runs), "conclusion": " ".join(part.conclusion for part in parts)},
    )


def view_of(runs: Sequence[FoundRun], folder: Path, project: str, entity: str) -> workspace.View:
    """The view of all experiments among the runs: a line each net, or each configuration where a net has several."""
    groups = summarise(runs)
    labels = {group.runs[0].label for group in groups}
    names = list(dict.fromkeys(str(run.choices["name"]) for run in runs))

    def of_experiment(name: str) -> list[FoundRun]:
        return [run for run in runs if str(run.choices["name"]) == name]

    return workspace.View(
        name=folder.resolve().name,
        project=project,
        entity=entity,
        groups=names,
        by=["label"] if len(labels) == len(groups) else ["label", "same_but_seed"],
        tables=list(
            dict.fromkeys(table for name in names for table in results_of(of_experiment(name)).tables)
        ),
    )
