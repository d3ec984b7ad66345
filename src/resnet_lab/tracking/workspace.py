"""A saved view of a sweep in W&B: which panels, over which of its runs. Needs the extra `workspace`."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from resnet_lab.columns import COLUMNS
from resnet_lab.errors import UserError
from resnet_lab.files import read_text, write_text

TIME = COLUMNS["train_seconds"]
NOTE = "wandb-view.json"  # in the sweep's folder: where its view is
EXTRA = "wandb_workspaces"


def check() -> None:
    """Raise UserError where the extra is missing."""
    if find_spec(EXTRA) is None:
        raise UserError("--workspace needs a package: pip install 'resnet-lab[workspace]'")


def own_entity() -> str:
    """Return where the account's runs go when nothing is said. Raises what W&B raises."""
    import wandb

    return str(wandb.Api().default_entity)


@dataclass(frozen=True)
class View:
    """What is to be seen of which runs."""

    name: str
    project: str
    entity: str
    groups: Sequence[str]  # the experiments whose runs it shows
    by: Sequence[str]  # keys of their configurations: the runs that share them are one line
    tables: Sequence[str]  # of the run that tells the results


def made(view: View) -> Any:
    """Return the workspace of wandb-workspaces."""
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws
    from wandb_workspaces import expr

    over_seeds: dict[str, Any] = {
        "groupby_aggfunc": "mean",
        "groupby_rangefunc": "stddev",
        "max_runs_to_show": 100,
    }

    def curve(title: str, metric: str, **more: Any) -> Any:
        return wr.LinePlot(title=title, x="iteration", y=[metric], **over_seeds, **more)

    def points(what: str, x: Any, **more: Any) -> Any:
        title = f"{COLUMNS['test_error'].title} against {what}"
        return wr.ScatterPlot(title=title, x=x, y=wr.SummaryMetric("test/error"), **more)

    panels = {
        "Error against iteration: mean and standard deviation over seeds": [
            curve(COLUMNS["test_error"].title, "test/error", range_y=(0, None)),
            curve(COLUMNS["train_error"].title, "train/error", range_y=(0, None)),
            curve("training loss", "train/loss", log_y=True),
        ],
        "Error against depth and cost": [
            points("depth", wr.Config("model.depth")),
            points(TIME.title, wr.SummaryMetric(TIME.key), log_x=True),
            points("multiply-adds", wr.Config("multiply_adds"), log_x=True),
        ],
        "Results": [wr.WeavePanelSummaryTable(table_name=name) for name in view.tables],
        "Runs beside one another": [wr.RunComparer(diff_only="split")],
    }
    sections = [ws.Section(name=name, panels=each, is_open=True) for name, each in panels.items()]
    return ws.Workspace(
        entity=view.entity,
        project=view.project,
        name=view.name,
        sections=sections,
        settings=ws.WorkspaceSettings(x_axis="iteration", max_runs=100),
        runset_settings=ws.RunsetSettings(
            filters=[expr.Metric("Group").isin(list(view.groups))],
            groupby=[expr.Config(key) for key in view.by],
            pinned_columns=[
                "run:displayName",
                "config:model.value.depth",  # as W&B keeps model: {depth: …}
                "summary:test/error",
                f"summary:{TIME.key}",
            ],
        ),
    )


def spec(view: View) -> str:
    """Return the view as it would be sent: JSON."""
    return json.dumps(made(view)._to_model().spec.model_dump(by_alias=True, exclude_none=True), indent=2)


def save(view: View, folder: Path) -> str:
    """Save the view, in the place of the one that the folder notes, and return its URL. Raises what W&B raises."""
    import wandb_workspaces.workspaces as ws

    note, workspace = folder / NOTE, made(view)
    try:
        before = ws.Workspace.from_url(json.loads(read_text(note))["url"])
    except Exception:  # none yet, or deleted there
        before = None
    if before is not None and (before.entity, before.project) == (view.entity, view.project):
        before.name, before.sections = workspace.name, workspace.sections
        before.settings, before.runset_settings = workspace.settings, workspace.runset_settings
        workspace = before
    workspace.save()
    write_text(note, json.dumps({"url": workspace.url}) + "\n")
    return str(workspace.url)
