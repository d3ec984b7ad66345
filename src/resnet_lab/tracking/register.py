"""The command that brings W&B up to date."""

from argparse import Namespace

from resnet_lab.arguments import RUNS
from resnet_lab.extras import command, option


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
    from resnet_lab.report.sync import Target, sync

    return sync(Target(args.folder, args.project, args.entity, args.workspace, args.dry_run))
