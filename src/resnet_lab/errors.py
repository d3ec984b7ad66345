"""Mistakes a user can make, each told in one line."""

from collections.abc import Iterable
from difflib import get_close_matches
from errno import ENOMEM


class UserError(ValueError):
    """A mistake in what the user gave: the command line prints its one line and exits with 2."""

    def __init__(self, message: object) -> None:
        super().__init__(printable(message))


def lacking_memory(error: BaseException) -> str | None:
    """One line where the system had no memory to give, also to a library that was to be loaded; else None."""
    told = str(error)
    if isinstance(error, ImportError):
        lacking = "failed to map segment" in told or "cannot allocate memory" in told.lower()
    else:
        lacking = isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == ENOMEM)
    return f"not enough memory: {printable(told or 'Python had none left')}" if lacking else None


def printable(what: object) -> str:
    r"""What `str` makes of it, in one line that every stream, file and picture takes.

    A name of a file may hold any byte: one that is not UTF-8 is shown as ``\xe9``, a line break as ``\n``.
    """
    text = str(what)
    return text if text.isprintable() else "".join(map(_visible, text))


def several(number: int, noun: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    if "\udc80" <= character <= "\udcff":  # how Python holds a byte that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def nearest(given: object, allowed: Iterable[object]) -> str | None:
    """The allowed value that looks most like `given`, or None when nothing does."""
    names = {str(value).lower(): str(value) for value in allowed}
    match = get_close_matches(str(given).lower(), list(names), n=1, cutoff=0.5)
    return names[match[0]] if match else None


def unknown(what: str, given: object, allowed: Iterable[object]) -> UserError:
    """The error for a value outside a list: what was given, the nearest right choice, what is allowed.

    `what` names the key or the thing, as in ``model.block``.
    """
    values = [str(value) for value in allowed]
    close = nearest(given, values)
    hint = f"did you mean {close!r}? " if close else ""
    return UserError(f"unknown {what} {given!r}: {hint}allowed: {', '.join(values)}")
