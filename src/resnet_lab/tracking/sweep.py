"""What W&B shows of whole sweeps: the results of each as a run, an alert at its end, and a view. Free of torch."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from resnet_lab.config.schema import LoggerConfig
from resnet_lab.report.collect import FoundRun, collect
from resnet_lab.report.compare import summarise
from resnet_lab.report.parts import slug
from resnet_lab.report.publish import parts_of, title_of
from resnet_lab.report.table import paper_table
from resnet_lab.report.tabular import Table
from resnet_lab.tracking import workspace
from resnet_lab.tracking.account import from_environment, why_offline
from resnet_lab.tracking.wandb_run import ABSENT, ALERTED, NOTE, Begun, begin, clear, close, id_of, silence

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Results:
    """The results of one experiment, as a W&B run shows them."""

    name: str
    tables: Mapping[str, Table]
    said: Mapping[str, str]  # in words


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
        tables,
        {"title": title_of(runs), "conclusion": " ".join(part.conclusion for part in parts)},
    )


def tell(results: Results, config: LoggerConfig, folder: Path, place: Path, alert: str = "") -> Begun:
    """Bring the run of type `report` level whose id the sweep's `folder` notes; W&B's files go to `place`/wandb.

    `alert`: in words, how the sweep ended. Raises whatever W&B raises, where it takes no run.
    """
    import wandb

    given = id_of(folder, "report")
    clear(given, folder, place)
    facts = {
        "id": given,
        "resume": "allow",
        "group": results.name[:128],
        "name": f"results of {results.name}"[:128],
        "job_type": "report",
        "tags": ["report"],
    }
    begun = begin(config, place, facts, ABSENT, lambda: clear(given, folder, place))
    tables = {
        name: wandb.Table(columns=list(table.columns), data=[list(row) for row in table.rows])
        for name, table in results.tables.items()
    }
    begun.run.summary.update({**results.said, **tables})
    if alert:
        begun.run.alert(f"{results.name} ended"[:ALERTED], alert)
    begun.run.finish()
    return begun


def tell_end(config: LoggerConfig, folders: Sequence[Path]) -> None:
    """Send the results of a sweep that has ended, and an alert, where W&B can be reached and has not got them yet."""
    config = from_environment(config)
    home, ours = home_of(folders), {folder.resolve() for folder in folders}
    runs = [run for run in collect(home, log.debug) if run.path.resolve() in ours]
    told = home / NOTE
    newest = max((run.path / "record.json" for run in runs), key=_modified)
    if why_offline(config.mode) is not None or _modified(told) >= _modified(newest):
        return
    silence()
    try:
        results = results_of(runs)
        tell(results, config, home, home, alert=results.said["title"])
        told.touch()
    except Exception:
        log.info("W&B does not get the results of %s", home, exc_info=True)
    finally:
        close()


def _modified(file: Path) -> float:
    return file.stat().st_mtime if file.exists() else 0.0


def home_of(folders: Sequence[Path]) -> Path:
    """Return the folder of the sweep that has these runs."""
    return Path(os.path.commonpath([folder.resolve().parent for folder in folders]))


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
