"""Printing is never a reason to lose a run: standard streams that may be closed, full or of any encoding.

Standard library only.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO


class Sturdy:
    """A stream whose `write` and `flush` never fail; `lost` is why something found no room."""

    def __init__(self, stream: TextIO) -> None:
        self.lost: OSError | None = None
        self._stream = stream
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
        except OSError as error:
            self.lost = error
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self.lost = error

    def lost_for_good(self) -> OSError | None:
        """Write what is left, or give it up: Python would try it once more at its very end."""
        self.flush()
        if self.lost is not None:
            with suppress(OSError, ValueError):  # no file of the system, as under a test
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
        return self.lost

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def sturdy() -> Iterator[Sturdy]:
    """Give standard output, with which, as with standard error, printing never fails."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:  # closed: the next file that is opened, a lock or a log, would get what is printed
            os.open(os.devnull, os.O_RDWR)
    before = sys.stdout, sys.stderr
    out, err = (Sturdy(stream or open(os.devnull, "w")) for stream in before)  # noqa: SIM115, PTH123
    sys.stdout, sys.stderr = out, err
    try:
        yield out
    finally:
        out.lost_for_good()
        err.lost_for_good()
        sys.stdout, sys.stderr = before
