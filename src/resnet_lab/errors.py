"""Mistakes a user can make, each reported in one line."""

import errno
import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

LISTED = 10  # choices that a message names
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class UserError(ValueError):
    """A mistake in what the user gave: the command line prints its one line and exits with 2."""

    def __init__(self, message: object) -> None:
        super().__init__(printable(message))


class NamedFailure(Exception):
    """A reason to end a run, which every process of it meets; `kind` stands in the record."""

    kind = "other"


def lacking(error: BaseException) -> str | None:
    """Return one line about what the system could not give, to us or to a library: memory, room, files, locks.

    None for any other error.
    """
    message, code, name = str(error), getattr(error, "errno", None), getattr(error, "filename", None)
    on = f" on {printable(name)}" if name else ""
    unloaded = isinstance(error, ImportError) and (
        "failed to map segment" in message or "cannot allocate memory" in message.lower()
    )
    if isinstance(error, MemoryError) or code == errno.ENOMEM or unloaded:
        return f"not enough memory: {printable(message or 'Python had none left')}"
    if code in (errno.EMFILE, errno.ENFILE) or "Too many open files" in message:
        return "too many open files: ulimit -n shows how many the system allows, and can allow more"
    if "shared memory" in message or (
        code in (errno.EROFS, errno.ENOENT, errno.ENOSYS, errno.EACCES, errno.ENOSPC)
        and _is_of_workers(error)
    ):
        return (
            "/dev/shm, through which worker processes hand over images, is full or not there: data.workers=0"
        )
    if code in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left{on}"
    if code == errno.EFBIG:
        return f"the system allows no larger file{on}: ulimit -f shows how large, and can allow more"
    if code == errno.EROFS:
        return f"nothing can be written{on}: its file system is read-only"
    if code in NO_LOCKS:
        return f"the file system knows no locks{on}"
    return None


# What may be a mistake, or something that the system could not give.
REPORTED = (UserError, MemoryError, ImportError, OSError, RuntimeError)


def reported(error: Exception) -> int:
    """Print the error in one line and return the exit code: 2 for a mistake, 1 for what the system could not give.

    Raises any other error again.
    """
    line, code = (str(error), 2) if isinstance(error, UserError) else (lacking(error), 1)
    if line is None:
        raise error
    print(f"resnet-lab: {line}", file=sys.stderr)
    return code


def _is_of_workers(error: BaseException) -> bool:
    """Return whether it comes from the semaphores of Python's worker processes, which name no file."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__") == "multiprocessing.synchronize":
            return True
        trace = trace.tb_next
    return False


def printable(what: object) -> str:
    r"""Return what `str` makes of it, in one line that every stream, file and picture takes.

    A name of a file may hold any byte: one that is not UTF-8 is shown as ``\xe9``, a line break as ``\n``.
    """
    text = str(what)
    return text if text.isprintable() else "".join(map(_visible, text))


def several(number: int, noun: str) -> str:
    """Return for example ``1 run`` or ``2 runs``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    if "\udc80" <= character <= "\udcff":  # how Python holds a byte that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def nearest(given: object, allowed: Iterable[object], *, least: float = 0.5) -> str | None:
    """Return the allowed value that looks most like `given`, or None when nothing does (`least` likeness, of 1)."""
    names = {str(value).lower(): str(value) for value in allowed}
    letters = sorted(str(given).lower())
    if swapped := next((name for name in names if sorted(name) == letters), None):
        return names[swapped]
    match = get_close_matches(str(given).lower(), list(names), n=1, cutoff=least)
    return names[match[0]] if match else None


def listed(values: Sequence[str]) -> str:
    """Return choices for a message, ten at most."""
    more = f", … ({len(values)} in all)" if len(values) > LISTED else ""
    return ", ".join(values[:LISTED]) + more


def unknown(what: str, given: object, allowed: Iterable[object]) -> UserError:
    """Return the error for a value outside a list: the nearest right choice, or else what is allowed, ten at most.

    `what` names the key or the thing, for example ``model.block``.
    """
    values = [str(value) for value in allowed]
    close = nearest(given, values)
    if close and close == nearest(given, values, least=0.7):
        return UserError(f"unknown {what} {given!r}: did you mean {close!r}?")
    hint = f"did you mean {close!r}? " if close else ""
    return UserError(f"unknown {what} {given!r}: {hint}allowed: {listed(values)}")
