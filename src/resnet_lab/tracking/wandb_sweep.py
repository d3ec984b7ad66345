"""What W&B shows of whole sweeps: the results of each as a run, an alert at its end, and a view. Free of torch."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from resnet_lab.config.schema import LoggerConfig
from resnet_lab.report.collect import FoundRun, collect
from resnet_lab.report.compare import summarise
from resnet_lab.report.publish import parts_of, title_of
from resnet_lab.report.select import slug
from resnet_lab.report.table import paper_table
from resnet_lab.report.tabular import Table
from resnet_lab.tracking import workspace
from resnet_lab.tracking.account import from_environment, why_offline
from resnet_lab.tracking.wandb_run import ABSENT, ALERTED, LONGEST, NOTE, Begun, begin, close, id_of, silence

log = logging.getLogger(__name__)


def tables_of(runs: Sequence[FoundRun]) -> dict[str, Table]:
    """Return the tables of a report on the runs of one experiment, by name."""
    tables: dict[str, Table] = {}
    for part in parts_of(runs):
        end = f"_{slug(part.name)}" if part.name else ""
        tables[f"results{end}"] = part.table
        if beside := part.answered[1]:
            tables[f"beside_the_paper{end}"] = paper_table(beside)
    return tables


def tell(runs: Sequence[FoundRun], config: LoggerConfig, place: Path, *, alert: bool = False) -> Begun:
    """Bring the results of one experiment level, a run of type `report` whose id is noted in the experiment's folder.

    W&B's files go to `place`/wandb; `alert`: the sweep has just ended. Raises whatever W&B raises, where it takes no
    run.
    """
    import wandb

    name, home = str(runs[0].choices["name"]), home_of(runs)
    begun = begin(
        config,
        (home, place),
        id_of(home, "report"),
        ABSENT,
        job_type="report",
        name=f"results of {name}"[:LONGEST],
        group=name[:LONGEST],
        tags=["report"],
    )
    title, conclusion = title_of(runs), " ".join(part.conclusion for part in parts_of(runs))
    tables = {
        name: wandb.Table(columns=list(table.columns), data=[list(row) for row in table.rows])
        for name, table in tables_of(runs).items()
    }
    begun.run.summary.update({"title": title, "conclusion": conclusion, **tables})
    if alert:
        begun.run.alert(f"{name} ended"[:ALERTED], title)
    begun.run.finish()
    return begun


def tell_end(config: LoggerConfig, folders: Sequence[Path]) -> None:
    """Send the results of a sweep that has ended, and an alert, where W&B can be reached and has not got them yet."""
    config = from_environment(config)
    if config.mode == "disabled" or why_offline(config.mode) is not None:
        return
    silence()
    for home in {folder.parent for folder in folders}:
        try:
            runs = [run for run in collect(home, log.debug) if run.path in folders]
            if _modified(home / NOTE) < max(_modified(run.path / "record.json") for run in runs):
                tell(runs, config, home, alert=True)
                (home / NOTE).touch()
        except Exception:
            log.info("W&B does not get the results of %s", home, exc_info=True)
    close()


def _modified(file: Path) -> float:
    return file.stat().st_mtime if file.exists() else 0.0


def home_of(runs: Sequence[FoundRun]) -> Path:
    """Return the folder of the sweep that has these runs."""
    return Path(os.path.commonpath([run.path.resolve().parent for run in runs]))


def experiments_of(runs: Sequence[FoundRun]) -> dict[str, list[FoundRun]]:
    """Return the runs of each experiment, by its name."""
    found: dict[str, list[FoundRun]] = {}
    for run in runs:
        found.setdefault(str(run.choices["name"]), []).append(run)
    return found


def view_of(runs: Sequence[FoundRun], folder: Path, project: str, entity: str) -> workspace.View:
    """Return the view of all experiments among the runs: a line for each net, or for each of its configurations."""
    groups, experiments = summarise(runs), experiments_of(runs)
    labels = {group.runs[0].label for group in groups}
    return workspace.View(
        name=folder.resolve().name,
        project=project,
        entity=entity,
        groups=list(experiments),
        by=["label"] if len(labels) == len(groups) else ["label", "same_but_seed"],
        tables=list(dict.fromkeys(table for members in experiments.values() for table in tables_of(members))),
    )
