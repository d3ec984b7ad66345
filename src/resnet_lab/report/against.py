"""Compare each line of a table with the one that has the baseline's choices. Free of torch."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from resnet_lab.errors import UserError
from resnet_lab.report.compare import Line
from resnet_lab.report.select import Condition, asks, check_key
from resnet_lab.report.spread import Difference, Pooled, difference, pooled


def shared_variance(lines: Sequence[Line]) -> Pooled | None:
    """Return the variance to use for lines with few seeds; None where it would mix settings."""
    if any(line.settings > 1 for line in lines):
        return None
    return pooled([line.result for line in lines])


@dataclass(frozen=True)
class AgainstBaseline:
    """The difference of a line's result to its baseline's, or why there is none."""

    difference: Difference = field(default_factory=Difference)
    note: str = ""  # the baseline; not comparable: why; also differs in ...; how the interval was made
    others: tuple[str, ...] = ()  # in what the baseline that was taken differs, too


def held_against(
    lines: Sequence[Line], baseline: Sequence[str], varying: Sequence[str]
) -> list[AgainstBaseline]:
    """Subtract from each result that of the line that has the baseline's choices and is otherwise the same.

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
    """Compare one line with the baseline that differs from it in the fewest of these choices."""
    if any(line is base for base in bases):
        return AgainstBaseline(note="the baseline")
    apart = [[key for key in varying if base.choices.get(key) != line.choices.get(key)] for base in bases]
    others = min(apart, key=len)
    if (near := sum(len(keys) == len(others) for keys in apart)) > 1:
        return AgainstBaseline(note=f"no one baseline: {near} lines are as near")
    if unlike := [key for key in others if asks(key)]:
        return AgainstBaseline(note=f"not comparable: {', '.join(unlike)} differs")
    ours, theirs = line.result, bases[apart.index(others)].result
    if not ours.n or not theirs.n:
        return AgainstBaseline(note="not comparable: no run has finished")
    found = difference(ours, theirs, shared)
    also = f"also differs in {', '.join(others)}; " if others else ""
    return AgainstBaseline(found, f"{also}{found.how}", tuple(others))
