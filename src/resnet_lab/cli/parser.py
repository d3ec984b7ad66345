"""What was typed, as the arguments of a command; and the help, at most 80 columns wide. Free of torch."""

import argparse
import shutil
import textwrap
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any, NoReturn

from resnet_lab.arguments import CONFIG_DIR, EVERYTHING, KEYS
from resnet_lab.config.groups import groups, use
from resnet_lab.errors import UserError, nearest, unknown
from resnet_lab.extras import Command, commands

WIDTH = 80
EXIT_CODES = """\
exit codes:
  0    done; for train: every run is finished
  1    something failed: a run, or there was no room for what was to be written
  2    a mistake in the command, reported in one line; nothing was trained
  130  interrupted by Ctrl-C (128 + the signal's number): run it again to resume"""


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return what was typed, its command as `command`; raise UserError for what no command takes."""
    words = known_dirs(arguments)
    name = next((word for word in words if not word.startswith("-")), None)
    if name is not None and name not in commands():
        raise unknown("command", name, commands())
    args, rest = build().parse_known_args(arguments)
    command = commands()[args.command]
    many = next((each for each in command.options if each.given.get("nargs") in ("*", "+")), None)
    if wrong := [text for text in rest if text.startswith("-") or many is None]:
        raise _unrecognised(command, wrong[0])
    if "=" in (getattr(args, "cfg", None) or ""):  # `--cfg key=value` asks for all of it
        rest, args.cfg = [args.cfg, *rest], EVERYTHING
    if many is not None:  # words after an option, for example `train seed=0 -m model.depth=20,32`
        getattr(args, many.key).extend(map(many.given.get("type", str), rest))
    return args


def known_dirs(arguments: Sequence[str] | None) -> list[str]:
    """Look where --config-dir says, before anything else is read: what the help lists lies there, too.

    Returns the other words.
    """
    early = Parser(add_help=False, allow_abbrev=False)
    early.add_argument(*CONFIG_DIR.names, **CONFIG_DIR.given)
    found, rest = early.parse_known_args(arguments)
    use(found.config_dir)
    return rest


def build() -> argparse.ArgumentParser:
    """Return the parser of every command."""
    found = commands()
    parser = Parser(
        prog="resnet-lab",
        usage="resnet-lab COMMAND ...",
        description="Ablation studies of image classifiers: a run is a folder, a sweep is many.",
        epilog=f"{_listed(found.values())}\n\nRun resnet-lab COMMAND --help for details.\n\n{EXIT_CODES}",
        formatter_class=_Help,
    )
    parser.add_argument(
        "--version", action=_Version, nargs=0, default=argparse.SUPPRESS, help="show the version and exit"
    )
    parser.add_argument(*CONFIG_DIR.names, **CONFIG_DIR.given)
    subs = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, help="one of those below", prog="resnet-lab"
    )
    for name, command in found.items():
        sub = subs.add_parser(
            name,
            description=_wrapped(command.help, "", 0),
            epilog=_epilog(command),
            formatter_class=_Help,
            allow_abbrev=False,
        )
        add: dict[str, Callable[..., object]] = {"": sub.add_argument}
        for each in command.options:
            if each.group not in add:
                add[each.group] = sub.add_argument_group(each.group).add_argument
            add[each.group](*each.names, **each.given)
    return parser


class Parser(argparse.ArgumentParser):
    """A parser that raises UserError, in one line, and takes no option of one value twice."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.register("action", None, _Once)

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; {self.prog} --help shows what it takes")


class _Once(argparse.Action):
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        value: Any,
        name: str | None = None,
    ) -> None:
        given = namespace.__dict__.setdefault("_given", {})
        if name is not None and self.dest in given:
            parser.error(f"{name} is given twice: {given[self.dest]} and {value}")
        given[self.dest] = value
        setattr(namespace, self.dest, value)


class _Version(argparse.Action):
    """The package's version, looked up when it is asked for: what looks it up takes as long as all else here."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version

        print(f"resnet-lab {version('resnet-lab')}")
        parser.exit()


class _Help(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=min(WIDTH, shutil.get_terminal_size().columns), max_help_position=26)


def _unrecognised(command: Command, text: str) -> UserError:
    known = [name for each in command.options for name in each.names if name.startswith("-")]
    close = nearest(text.partition("=")[0], known) if text.startswith("-") else None
    hint = f"did you mean {close!r}?" if close else f"resnet-lab {command.name} --help shows what it takes"
    return UserError(f"{command.name} does not take {text!r}: {hint}")


def _listed(found: Iterable[Command]) -> str:
    """Return the commands in their groups, with an example each."""
    lines: list[str] = []
    for group, members in groupby(found, key=lambda each: each.group):
        lines += ["", f"{group}:"]
        for each in members:
            lines += [_wrapped(each.help, f"  {each.name:<11}", 13), *_example(each.example, 13)]
    return "\n".join(lines).strip()


def _example(text: str, indent: int) -> list[str]:
    if indent + 2 + len(text) <= WIDTH:
        return [f"{'':<{indent}}$ {text}"]
    first, *rest = textwrap.wrap(text, WIDTH - indent - 4, break_long_words=False, break_on_hyphens=False)
    lines = [f"{'':<{indent}}$ {first}", *(f"{'':<{indent + 4}}{line}" for line in rest)]
    return [*(f"{line} \\" for line in lines[:-1]), lines[-1]]


def _epilog(command: Command) -> str:
    parts = ["\n".join(["example:", *_example(command.example, 2)])]
    if command.notes:
        parts.append(_wrapped(command.notes, "", 0))
    if KEYS in command.options:
        parts.append("groups and their options:")
        parts[-1] += "".join(
            f"\n{_wrapped(' '.join(names), f'  {group}=', 6)}" for group, names in groups().items()
        )
        parts.append("every key: resnet-lab train --cfg")
    return "\n\n".join(parts)


def _wrapped(text: str, first: str, indent: int) -> str:
    return textwrap.fill(
        text, WIDTH, initial_indent=first, subsequent_indent=" " * indent, break_on_hyphens=False
    )
