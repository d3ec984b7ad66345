"""The command line: it finds the command, which hands over to the room that does the work. Free of torch."""

import sys
from argparse import Namespace
from collections.abc import Sequence

from resnet_lab.cli import completion, core
from resnet_lab.cli.parser import parsed
from resnet_lab.errors import REPORTED, UserError, reported
from resnet_lab.extras import commands
from resnet_lab.streams import sturdy

__all__ = ["completion", "core", "main"]  # the first two register the commands of the core


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0: done, 1: something failed, 2: a mistake in what was asked, reported in one line."""
    with sturdy() as output:
        try:
            args = parsed(arguments)
        except UserError as error:
            print(f"resnet-lab: {error}", file=sys.stderr)
            return 2
        code = _run(args)
        lost = output.lost_for_good()
        if lost is None or isinstance(
            lost, BrokenPipeError
        ):  # the reader, for example `| head`, has seen enough
            return code
        print(f"resnet-lab: standard output: {lost.strerror}", file=sys.stderr)
        trains = args.command == "train" and not args.cfg
        return code if trains else code or 1  # what other commands have to give is what they print


def _run(args: Namespace) -> int:
    command = commands()[args.command]
    try:
        for run in (*command.before, command.run):
            if (code := run(args)) is not None:
                return code
        return 0
    except REPORTED as error:
        return reported(error)
    except SystemExit as leaving:
        if leaving.code:
            raise
        print("resnet-lab: code of your own called sys.exit() before the command was done", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("resnet-lab: interrupted; run the same command again to resume", file=sys.stderr)
        return 130
