"""What a tracker is told of a run beside its rows: made from its configuration and its record alone. Free of torch."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from resnet_lab.config.identity import identity, identity_part
from resnet_lab.config.schema import TrainConfig
from resnet_lab.models.description import ModelConfig

NET = ("layers", "parameters", "multiply_adds")
COST = ("train_seconds", "total_seconds", "images_per_second", "peak_memory_mib", "accelerator", "devices")
LONGEST = 64  # characters of a tag, W&B's limit


@dataclass(frozen=True)
class Facts:
    """Plain values, so that they may go to another process as JSON."""

    hash: str
    name: str  # of the net and the seed; a tracker adds what tells two folders apart
    group: str  # the experiment
    tags: list[str]  # words one filters by
    config: dict[str, Any]  # what can change the result, and what the run is
    summary: dict[str, Any]  # each final figure once; empty before the run has ended
    started: str | None  # ISO 8601
    error: str | None  # what stopped a failed run, in one line

    @classmethod
    def of(
        cls, config: TrainConfig, record: Mapping[str, Any], folder: Path, host: str | None = None
    ) -> Self:
        """Of a run's configuration and its record, which need not be complete yet; `host`: where it trains."""
        net, cost = record["model"], record.get("cost") or {}
        told = {
            "label": net["label"],
            "kind": net["kind"],
            **{key: net.get(key) for key in NET},
            "answers": config.answers,
            "same_but_seed": identity(replace(config, seed=0)),
            "folder": str(folder.resolve()),
            "command": f"python -m resnet_lab.runs {folder}",
            "commit": (record.get("environment") or {}).get("git_commit"),
            "host": host,
            "device": cost.get("accelerator"),
        }
        error = record.get("error")
        key = identity(config)
        beside = folder.name.partition(f"-{key}")[2]  # as -devices2, where runs differ in nothing else
        return cls(
            hash=key,
            name=f"{net['label']}-s{config.seed}{beside}",
            group=config.name,
            tags=_tags(config, net["kind"]),
            config=_nested(identity_part(config))
            | {name: value for name, value in told.items() if value is not None},
            summary=_summary(record),
            started=record.get("started") or None,
            error=f"{error['kind']}: {error['message']}" if error else None,
        )


def _tags(config: TrainConfig, kind: str) -> list[str]:
    net, said = config.model, [kind]
    if isinstance(net, ModelConfig):
        shortcut = f"shortcut {net.shortcut}" if net.shortcut != "none" else ""
        said = [
            "plain" if kind.startswith("plain") else "residual",
            net.block,
            shortcut,
            f"depth {net.depth}",
        ]
    words = [config.data.name, *said, *config.logger.tags]
    return list(dict.fromkeys(str(word)[:LONGEST] for word in words if word))


def _summary(record: Mapping[str, Any]) -> dict[str, Any]:
    """The last iteration's figures with the final test, and the cost; the best epoch is the rows' minimum."""
    last = record.get("last") or {}
    cost = record.get("cost") or {}
    return {**last, **{key: cost[key] for key in COST if cost.get(key) is not None}}


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
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
