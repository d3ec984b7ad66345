"""What a tracker gets of a run: made from its configuration and its record alone. Free of torch."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from resnet_lab.columns import COLUMNS
from resnet_lab.config.identity import identity, identity_part
from resnet_lab.config.schema import TrainConfig
from resnet_lab.models.shortcuts import SHORTCUTS
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.record import Record
from resnet_lab.training import recipes

COST = ("total_seconds", "accelerator", "devices")  # beside the figures that every table has
LONGEST = 64  # characters of a tag, W&B's limit


@dataclass(frozen=True)
class Facts:
    """What a tracker gets of a run besides its rows: plain values, so that they may go to another process as JSON."""

    hash: str
    name: str  # of the net and the seed; a tracker adds what tells two folders apart
    group: str  # the experiment
    tags: list[str]  # words one filters by
    config: dict[str, object]  # what can change the result, and what the run is
    summary: dict[str, object]  # each final figure once; empty before the run has ended
    objective: str  # by which the best epoch is chosen, val/error for example
    mode: str  # min or max: which of its values is the best
    started: str | None  # ISO 8601
    error: str | None  # what stopped a failed run, in one line
    diverged: bool = False


def facts_of(config: TrainConfig, record: Record, folder: Path, host: str | None = None) -> Facts:
    """Return the facts of a run, whose record need not be complete yet; `host`: where it trains."""
    net, error, key = record.model, record.error, identity(config)
    values = {
        "label": net.label,
        "kind": net.kind,
        "layers": net.layers,
        **_figures("model", record),
        "answers": config.answers,
        # Both, whichever the recipe counts: axes that every run has.
        "epochs": record.last.get("epoch") or config.recipe.epochs,
        "iterations": record.last.get("iteration") or config.recipe.iterations,
        **record.hyperparameters,
        "same_but_seed": identity(replace(config, seed=0)),
        "folder": str(folder.resolve()),
        "command": f"python -m resnet_lab.runs {folder}",
        "commit": record.environment.git_commit,
        "host": host,
        "device": record.cost.accelerator,
    }
    beside = folder.name.partition(f"-{key}")[2]  # -devices2, for example, where runs differ in nothing else
    return Facts(
        hash=key,
        name=RunFolder(folder).title() or f"{net.label}-s{config.seed}{beside}",
        group=config.name,
        tags=_tags(config),
        config=_nested(
            {key: value for key, value in identity_part(config).items() if key not in _unread(config)}
        )
        | {name: value for name, value in values.items() if value is not None},
        summary=_summary(record),
        objective=config.objective.validated,
        mode=config.objective.mode,
        started=record.started or None,
        error=f"{error.kind}: {error.message}" if error else None,
    )


def _unread(config: TrainConfig) -> set[str]:
    """Return the keys that nothing reads with the other choices: a gate's bias where the shortcut has no gate."""
    unread = {"recipe": set(recipes.unread(config.recipe)), "data": set(config.data.unread())}
    if (shortcut := SHORTCUTS.get(getattr(config.model, "shortcut", ""))) is not None:
        unread["model"] = {name for other in SHORTCUTS.values() for name in other.reads} - set(shortcut.reads)
    return {f"{group}.{name}" for group, names in unread.items() for name in names}


def _tags(config: TrainConfig) -> list[str]:
    words = [config.data.name, *config.model.tags, *config.logger.tags]
    return list(dict.fromkeys(str(word)[:LONGEST] for word in words if word))


def _summary(record: Record) -> dict[str, object]:
    """Return the last iteration's figures with the final test, and the cost; the best epoch is the rows' minimum."""
    cost = {key: getattr(record.cost, key) for key in COST} | _figures("cost", record)
    return record.last | {key: value for key, value in cost.items() if value is not None}


def _figures(part: str, record: Record) -> dict[str, Any]:
    """Return the figures that every table has of a part of the record."""
    return {column.key: column.of(record) for column in COLUMNS.values() if column.part == part}


def _nested(flat: Mapping[str, Any]) -> dict[str, object]:
    """recipe.lr -> {"recipe": {"lr": …}}, as W&B shows it under the same dotted key; what is not set stays out."""
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        if value is None or value == [] or value == {}:
            continue
        *parents, name = key.split(".")
        place = nested
        for parent in parents:
            place = place.setdefault(parent, {})
        place[name] = value
    return nested
