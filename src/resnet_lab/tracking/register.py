"""The trackers, what a run and a sweep ask of them, and the command that brings W&B up to date."""

from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from resnet_lab.arguments import RUNS
from resnet_lab.extras import command, option, register


@register("tracker", "wandb")
def wandb(*given: Any) -> Any:
    from resnet_lab.tracking.wandb_run import WandbRun

    return WandbRun(*given)


@register("tracker", "tensorboard")
def tensorboard(*given: Any) -> Any:
    from resnet_lab.tracking.tensorboard import TensorBoard

    return TensorBoard(*given)


@register("during a run", "trackers")
def telling(*given: Any) -> Any:
    from resnet_lab.tracking.telling import telling

    return telling(*given)


@register("before runs", "wandb")
def offline(configs: Sequence[Any]) -> Iterator[str]:
    from resnet_lab.tracking.unsent import before

    return before(configs)


@register("during a sweep", "wandb")
def lost(folders: Sequence[Path]) -> Iterator[str]:
    from resnet_lab.tracking.unsent import lost

    return lost(folders)


@register("after a sweep", "wandb")
def ended(configs: Sequence[Any]) -> Iterator[str]:
    from resnet_lab.tracking.unsent import ended

    return ended(configs)


@command(
    "train and compare",
    "upload missing runs and metrics in a folder to W&B; without a key, write offline files",
    "resnet-lab sync runs/quickstart",
    RUNS,
    option("--project PROJECT", "default: each run's logger.project, or WANDB_PROJECT, or resnet-lab"),
    option("--entity ENTITY", "default: each run's logger.entity, or WANDB_ENTITY, or W&B's default"),
    option("--workspace", "save a view of the sweep in W&B, too, or replace it"),
    option("--dry-run", "with --workspace: print the view, and send nothing"),
)
def sync(args: Namespace) -> int:
    from resnet_lab.tracking.sync import Target, sync

    return sync(Target(args.folder, args.project, args.entity, args.workspace, args.dry_run))
