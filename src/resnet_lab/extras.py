"""Commands, and how extras add these and whatever else: the core never imports a room that only some need.

A folder of this package with a `register.py` is asked for what it adds; delete the folder, and the rest works on. Such
a file imports its room only inside its functions. Standard library only.
"""

from argparse import Namespace
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

Handler = Callable[[Namespace], int | None]

GROUPS = (
    "train and compare",
    "use a trained network",
    "look and prepare",
    "set up",
)  # in which --help lists them


@dataclass(frozen=True)
class Option:
    """One argument of a command: its names, what `argparse` is given, and what a shell completes behind it."""

    names: tuple[str, ...]
    given: Mapping[str, Any]
    choices: Callable[[], Iterable[str]] = tuple
    group: str = ""  # the heading under which --help lists it

    @property
    def key(self) -> str:
        """Return the attribute that holds its value."""
        return str(self.given.get("dest") or self.names[0].lstrip("-").replace("-", "_"))

    @property
    def takes_value(self) -> bool:
        return self.given.get("action") not in ("store_true", "version")


@dataclass(frozen=True)
class Command:
    """A command: its help, an example, its arguments, and what it does."""

    name: str
    group: str  # of GROUPS
    help: str
    example: str
    options: tuple[Option, ...]
    run: Handler
    notes: str = ""  # further lines of its help
    before: tuple[Handler, ...] = ()  # asked first: None leaves it to the next


_registered: defaultdict[str, dict[str, Callable[..., Any]]] = defaultdict(dict)
_commands: dict[str, Command] = {}
_extensions: list[
    tuple[str, tuple[Option, ...], Handler]
] = []  # command, further arguments, who is asked first


def option(
    spec: str, help: str, *, choices: Callable[[], Iterable[str]] = tuple, group: str = "", **given: Any
) -> Option:
    """Describe an argument: its names and, where it takes one, what stands for its value, for example ``--out FOLDER``.

    ``--by KEY...`` may be repeated, ``--serve [PORT]`` stands alone too, ``folder FOLDER+`` takes one or more words and
    ``KEY*`` any number; `given` is what else `argparse` takes. A shell completes `choices`, or the words of ``md|csv``.
    """
    *names, value = spec.split()
    if value.startswith("-"):
        return Option((*names, value), {"action": "store_true", "help": help, **given}, choices, group)
    if value.endswith("..."):
        given = {"action": "append", "default": [], **given}
    elif value[-1] in "*+":
        given["nargs"] = value[-1]
    elif value.startswith("["):
        given["nargs"] = "?"
    value = value.strip("[]*+.")
    if "|" in value:
        choices = partial(value.split, "|")
    return Option(tuple(names), {"metavar": value, "help": help, **given}, choices, group)


def command(
    group: str, help: str, example: str, *options: Option, notes: str = ""
) -> Callable[[Handler], Handler]:
    """Register a function as the command of its name; it returns the exit code."""

    def register(run: Handler) -> Handler:
        name = run.__name__.strip("_")
        _commands[name] = Command(name, group, help, example, options, run, notes)
        return run

    return register


def extend(name: str, *options: Option) -> Callable[[Handler], Handler]:
    """Register a function that is asked first when a command is called, and arguments of its own.

    It returns the exit code, or None where it was not meant.
    """

    def register(run: Handler) -> Handler:
        _extensions.append((name, options, run))
        return run

    return register


def register(kind: str, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function of an extra, which the core finds by its `kind`, for example the place ``ray``."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        _registered[kind][name] = function
        return function

    return add


def registered(kind: str) -> Mapping[str, Callable[..., Any]]:
    """Return what the extras have of a kind, by name; each function imports its room when it is called."""
    _read_extras()
    return _registered[kind]


def commands() -> dict[str, Command]:
    """Return every command by its name, in the order of --help."""
    _read_extras()
    found = dict(sorted(_commands.items(), key=lambda each: GROUPS.index(each[1].group)))
    for name, options, run in _extensions:
        if known := found.get(name):
            found[name] = replace(known, options=known.options + options, before=(*known.before, run))
    return found


@cache
def _read_extras() -> None:
    package = Path(__file__).parent
    for file in sorted([*package.glob("*/register.py"), *package.glob("*/*/register.py")]):
        name = ".".join(file.relative_to(package.parent).with_suffix("").parts)
        spec = spec_from_file_location(name, file)  # without the packages above, which may be slow to import
        assert spec is not None
        assert spec.loader is not None
        spec.loader.exec_module(module_from_spec(spec))
