"""The command that begins a project."""

from argparse import Namespace

from resnet_lab.arguments import path
from resnet_lab.extras import command, option


@command(
    "set up",
    "scaffold a project: parts of your own, and an experiment that sweeps them",
    "resnet-lab new my-project",
    option("folder FOLDER", "a folder that is empty, or not there yet", type=path),
)
def new(args: Namespace) -> int:
    from resnet_lab.template import new

    return new(args.folder)
