"""What each field of a configuration allows, said beside it, and the one check that reads it.

Standard library only.
"""

import math
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields, is_dataclass, replace
from functools import cache
from typing import Any, NamedTuple, TypeVar, get_type_hints

from resnet_lab.errors import UserError, unknown

Config = TypeVar("Config")
Choices = Iterable[str] | Callable[[], Iterable[str]]  # a function where the choices are files, as the blocks

# What never changes a result stays out of a run's identity; the record tells it.
LOCAL = {"identity": False}


@dataclass(frozen=True)
class Range:
    """Which numbers are allowed; `least` and `most` are, `above` and `below` are not, and no infinity."""

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    also: float | None = None  # a number with a meaning of its own

    def __contains__(self, number: float) -> bool:
        return number == self.also or (
            math.isfinite(number)
            and (self.least is None or number >= self.least)
            and (self.most is None or number <= self.most)
            and (self.above is None or number > self.above)
            and (self.below is None or number < self.below)
        )

    def __str__(self) -> str:
        ends = (
            ("at least", self.least),
            ("greater than", self.above),
            ("at most", self.most),
            ("less than", self.below),
        )
        words = " and ".join(f"{word} {end}" for word, end in ends if end is not None)
        return words if self.also is None else f"{words}, or {self.also}"


@dataclass(frozen=True)
class Text:
    """Which words are allowed: never an empty one."""

    most: int  # characters
    without: str = ""  # characters that it may not have

    def fault(self, word: str) -> str | None:
        if not word.strip():
            return "must not be empty"
        if len(word) > self.most:
            return f"must be at most {self.most} characters long"
        if found := sorted({each for each in word if each in self.without or not each.isprintable()}):
            return f"must not have {' '.join(map(repr, found))} in it"
        return None


def local(default: Any) -> Any:
    """Return a field that never changes a result."""
    return field(default=default, metadata=LOCAL)


def choice(
    default: str | None,
    allowed: Choices,
    *,
    own: bool = False,
    identity: bool = True,
    usual: str | None = None,
) -> Any:
    """Return a field that takes one of a few words; `own`: or the dotted path of something of the user's.

    `usual` is what a default of auto stands for.
    """
    metadata = {"choices": allowed, "own": own, "identity": identity}
    return field(default=default, metadata=metadata if usual is None else {**metadata, "usual": usual})


def number(default: float | None, *, identity: bool = True, **ends: float) -> Any:
    """Return a field that takes the numbers of a `Range`, for example ``number(0.9, least=0, below=1)``."""
    return field(default=default, metadata={"range": Range(**ends), "identity": identity})


def text(default: str | None, **limits: Any) -> Any:
    """Return a field that takes the words of a `Text`, for example ``text(None, most=64, without="/")``."""
    return field(default=default, metadata={"text": Text(**limits)})


def path(default: str | None, *, identity: bool = True) -> Any:
    """Return a field that names a file or a folder: ~ is the home."""
    return field(default=default, metadata={"path": True, "identity": identity})


@dataclass(frozen=True)
class Key:
    """What a schema says of one dotted key."""

    field: Field[Any]
    hint: Any  # its type
    local: bool  # it never changes a result


def keys(schema: type, prefix: str = "", *, local: bool = False) -> dict[str, Key]:
    """Return the dotted keys of nested dataclasses, of every kind of each; `local`: so is all of it."""
    found: dict[str, Key] = {}
    for kind in _kinds(schema):
        hints = get_type_hints(kind)
        for each in fields(kind):
            key, hint = f"{prefix}{each.name}", hints[each.name]
            own = local or not each.metadata.get("identity", True)
            if is_dataclass(hint) and isinstance(hint, type):
                found |= keys(hint, f"{key}.", local=own)
            else:
                found[key] = Key(each, hint, own)
    return found


def _kinds(schema: Any) -> Iterator[Any]:
    yield schema
    for kind in schema.__subclasses__():
        yield from _kinds(kind)


class Leaf(NamedTuple):
    """One value of a configuration; lists are values, and so is whatever else holds no keys."""

    key: str  # dotted
    value: Any
    field: Field[Any] | None  # of its dataclass; None within a mapping of any keys
    affects_result: bool


def leaves(config: Any, prefix: str = "", *, affects_result: bool = True) -> list[Leaf]:
    """Return every value of nested dataclasses and mappings, in order: the one walk over a configuration.

    What a field marks as local affects no result, nor does what says so of itself: {_target_: …, identity: false}.
    """
    found: list[Leaf] = []
    _collect(config, prefix, affects_result, (), found)
    return found


def _collect(
    config: Any, prefix: str, affects_result: bool, local_keys: Collection[str], found: list[Leaf]
) -> None:
    if not isinstance(config, Mapping):
        for each, affects, keys_of_its_own in _marks(type(config)):  # type: ignore[arg-type]  # mypy asks for a hash
            key, value, affects = (
                f"{prefix}{each.name}",
                getattr(config, each.name),
                affects_result and affects,
            )
            if isinstance(value, Mapping) or is_dataclass(value):
                _collect(value, f"{key}.", affects, keys_of_its_own, found)
            else:
                found.append(Leaf(key, value, each, affects))
        return
    named = "_target_" in config
    affects_result = affects_result and not (named and config.get("identity") is False)
    for name, value in config.items():
        affects = affects_result and name not in local_keys and not (named and name == "identity")
        if isinstance(value, Mapping) or is_dataclass(value):
            _collect(value, f"{prefix}{name}.", affects, (), found)
        else:
            found.append(Leaf(f"{prefix}{name}", value, None, affects))


@cache
def _marks(schema: type) -> tuple[tuple[Field[Any], bool, Collection[str]], ...]:
    """Return each field of a dataclass, whether it affects a result, and which of a mapping's keys never do."""
    return tuple(
        (each, each.metadata.get("identity", True), each.metadata.get("local_keys", ()))
        for each in fields(schema)
    )


def flatten(config: Any, *, local: bool = True) -> dict[str, object]:
    """Return every value by its dotted key; `local` False: without those that affect no result."""
    return {leaf.key: leaf.value for leaf in leaves(config) if local or leaf.affects_result}


def check(config: Any, prefix: str = "") -> None:
    """Raise UserError for the first value, of nested dataclasses too, that its field does not allow.

    `prefix` goes before the fields' names, for example ``recipe.``. None is allowed wherever its type is.
    """
    for leaf in leaves(config, prefix):
        if leaf.field is not None and leaf.value is not None:
            _check_value(leaf.field, leaf.key, leaf.value)


def _check_value(each: Field[Any], key: str, value: Any) -> None:
    allowed: Choices | None = each.metadata.get("choices")
    given = value if isinstance(value, list) else [value]
    if allowed is not None:
        words = tuple(allowed() if callable(allowed) else allowed)
        for word in given:
            if (
                word not in words
                and not isinstance(word, bool)
                and not (each.metadata.get("own") and "." in word)
            ):
                raise unknown(key, word, words)
    numbers: Range | None = each.metadata.get("range")
    if numbers is not None and value not in numbers:
        raise UserError(f"{key}={value}: must be {numbers}")
    if numbers is None and each.type in (float, float | None) and not math.isfinite(value):
        raise UserError(f"{key}={value}: must be a finite number")
    limits: Text | None = each.metadata.get("text")
    for word in given:
        if isinstance(word, str):
            check_unicode(key, word)
            if limits is not None and (fault := limits.fault(word)):
                raise UserError(f"{key}={word}: {fault}")


def check_unicode(key: str, text: str) -> None:
    """Raise UserError for what no file in UTF-8 could hold, as a path with a stray byte."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UserError(f"{key}={ascii(text)[1:-1]} is not UTF-8: rename it, or give it a link") from None


def at_home(config: Config) -> Config:
    """Return the configuration with the ~ of its paths written out, of nested dataclasses too."""
    paths = {
        leaf.key: os.path.expanduser(leaf.value)  # noqa: PTH111 (it may be a URL)
        for leaf in leaves(config)
        if leaf.field is not None and leaf.field.metadata.get("path") and leaf.value is not None
    }
    return changed(config, paths)


def changed(config: Config, values: Mapping[str, Any]) -> Config:
    """Return the configuration with these values, by dotted key of nested dataclasses."""
    parts: dict[str, dict[str, object]] = {}
    for key, value in values.items():
        name, _, rest = key.partition(".")
        parts.setdefault(name, {})[rest] = value
    new = {
        name: part[""] if "" in part else changed(getattr(config, name), part) for name, part in parts.items()
    }
    return replace(config, **new)  # type: ignore[type-var]
