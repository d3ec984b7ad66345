"""What a tracker gets of a run besides its rows, as plain values. Free of torch."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Facts:
    """Plain values, so that they may go to another process as JSON."""

    hash: str
    name: str  # of the net and the seed; a tracker adds what tells two folders apart
    group: str  # the experiment
    tags: list[str]  # words one filters by
    config: dict[str, Any]  # what can change the result, and what the run is
    summary: dict[str, Any]  # each final figure once; empty before the run has ended
    objective: str  # by which the best epoch is chosen, val/error for example
    mode: str  # min or max: which of its values is the best
    started: str | None  # ISO 8601
    error: str | None  # what stopped a failed run, in one line
    diverged: bool = False
