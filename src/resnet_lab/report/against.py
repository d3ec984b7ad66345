"""Each line of a table against the one that has the baseline's choices. Free of torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from resnet_lab.errors import UserError
from resnet_lab.report.parts import asks
from resnet_lab.report.select import Condition, check_key
from resnet_lab.report.spread import Difference, Pooled, Spread, difference, pooled


class Line(Protocol):
    """A group, or groups that were pooled."""

    @property
    def choices(self) -> Mapping[str, Any]: ...

    @property
    def settings(self) -> int: ...

    @property
    def result(self) -> Spread: ...


def shared_variance(lines: Sequence[Line]) -> Pooled | None:
    """Return the variance that stands for the lines' own where they have few seeds; None where it mixes settings."""
    if any(line.settings > 1 for line in lines):
        return None
    return pooled([line.result for line in lines])


@dataclass(frozen=True)
class AgainstBaseline:
    """One line beside its baseline: the difference of the results, or why there is none."""

    difference: Difference = field(default_factory=Difference)
    note: str = ""  # the baseline; not comparable: why; also differs in ...; how the interval was made
    others: tuple[str, ...] = ()  # in what the baseline that was taken differs, too


def held_against(
    lines: Sequence[Line], baseline: Sequence[str], varying: Sequence[str]
) -> list[AgainstBaseline]:
    """Return the result minus that of the line that has the baseline's choices, and else the same of those that vary.

    Where no line is like that, the one that differs least is taken and the note says in what. Without a baseline there
    are no differences. Raises UserError where no line has the baseline's choices.
    """
    if not baseline:
        return [AgainstBaseline()] * len(lines)
    asked = [Condition.of(text, "--baseline") for text in baseline]
    for each in asked:
        check_key(each.key, [line.choices for line in lines], "--baseline")
    bases = [line for line in lines if all(each.holds(line.choices) for each in asked)]
    if not bases:
        raise UserError(f"--baseline {' '.join(map(str, asked))}: no row matches")
    given = {each.key for each in asked}
    rest = [key for key in varying if key not in given]
    shared = shared_variance(lines)
    return [held(line, bases, rest, shared) for line in lines]


def held(
    line: Line, bases: Sequence[Line], varying: Sequence[str], shared: Pooled | None = None
) -> AgainstBaseline:
    """One line against the baseline that differs from it in the fewest of these choices."""
    if any(line is base for base in bases):
        return AgainstBaseline(note="the baseline")
    apart = {
        index: [key for key in varying if base.choices.get(key) != line.choices.get(key)]
        for index, base in enumerate(bases)
    }
    least = min(len(keys) for keys in apart.values())
    nearest = [index for index, keys in apart.items() if len(keys) == least]
    if len(nearest) > 1:
        return AgainstBaseline(note=f"no one baseline: {len(nearest)} lines are as near")
    others = apart[nearest[0]]
    if unlike := [key for key in others if asks(key)]:
        return AgainstBaseline(note=f"not comparable: {', '.join(unlike)} differs")
    ours, theirs = line.result, bases[nearest[0]].result
    if not ours.n or not theirs.n:
        return AgainstBaseline(note="not comparable: no run has finished")
    found = difference(ours, theirs, shared)
    also = f"also differs in {', '.join(others)}; " if others else ""
    return AgainstBaseline(found, f"{also}{found.how}", tuple(others))
