"""The command that brings W&B up to date, and what a sweep says of it."""

from argparse import Namespace
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from resnet_lab.arguments import RUNS
from resnet_lab.extras import command, option, register

if TYPE_CHECKING:
    from resnet_lab.config.schema import TrainConfig


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


@register("before runs", "wandb")
def offline(configs: "Sequence[TrainConfig]") -> Iterator[str]:
    """Yield once why the runs will be offline."""
    import shlex

    from resnet_lab.config.identity import path_of
    from resnet_lab.tracking.account import announced

    for config in configs:
        if (reason := announced(config.logger)) is not None:
            place = shlex.quote(str(path_of(config).parent))
            yield f"W&B is offline ({reason}): resnet-lab sync {place} sends the runs"
            return


@register("after a sweep", "wandb")
def unsent(configs: "Sequence[TrainConfig]") -> Iterator[str]:
    """Yield of how many runs W&B lacks something, once what is under way has come through or had its time."""
    from resnet_lab.config.identity import path_of
    from resnet_lab.errors import several
    from resnet_lab.tracking.account import patience
    from resnet_lab.tracking.unsent import waited_for

    asked = [path_of(config) for config in configs if "wandb" in config.logger.trackers]
    if asked and (lacking := waited_for(asked, sum(patience()))):
        roots = sorted({str(path.parent) for path in lacking})
        verb = "is" if len(lacking) == 1 else "are"
        yield f"{len(lacking)} of {several(len(asked), 'run')} {verb} not in W&B: resnet-lab sync {' '.join(roots)}"
