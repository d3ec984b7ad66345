"""Groups averaged over everything but a few choices, as the papers' tables do. Free of torch.

Runs that were computed under other conditions stay apart here, too: where they differ among the runs of one cell,
the condition is one choice more.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from resnet_lab.errors import UserError
from resnet_lab.report.choices import CONDITIONS, but_for_the_seed, differing
from resnet_lab.report.collect import Run
from resnet_lab.report.compare import Group, ranked, states_of
from resnet_lab.report.select import check_key
from resnet_lab.report.spread import Spread

KIND = "kind"  # of unit: what tells nets apart that have no choices in common
KEYS_BESIDE = (KIND, *CONDITIONS)


@dataclass(frozen=True)
class Pool:
    """Groups that share what a table is drawn by."""

    by: Mapping[str, Any]
    groups: tuple[Group, ...]
    over: tuple[str, ...] = ()  # what else differs among the groups of the table

    @property
    def choices(self) -> Mapping[str, Any]:
        return self.by

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        return tuple(run for group in self.groups for run in group.runs)

    @property
    def n(self) -> int:
        return sum(group.n for group in self.groups)

    @property
    def diverged(self) -> int:
        return sum(group.diverged for group in self.groups)

    def last(self, metric: str) -> Spread:
        """A metric at the last iteration over all finished runs, paired by their seed and by what else differs."""
        values, pairs = [], []
        for group in self.groups:
            rest = tuple(str(group.choices.get(key)) for key in self.over)
            for run in group.finished:
                if not math.isnan(value := run.last(metric)):
                    values.append(value)
                    pairs.append((run.seed, *rest) if rest else run.seed)
        return Spread(tuple(values), tuple(pairs))

    def cost(self, name: str) -> Spread:
        return Spread(tuple(value for group in self.groups for value in group.cost(name).values))

    def fact(self, name: str) -> Any:
        """A fact of the net where it is the same in all groups, else None."""
        facts = {group.fact(name) for group in self.groups}
        return facts.pop() if len(facts) == 1 else None

    @property
    def remarks(self) -> str:
        return ", ".join(states_of(self.runs))


def pools(groups: Sequence[Group], by: Sequence[str], option: str = "--by") -> list[Pool]:
    """The groups by these choices, in the order of their values; UserError for a key that no run has."""
    for key in by:
        check_key(key, [_told(group) for group in groups], option)
        if key not in KEYS_BESIDE and not any(key in but_for_the_seed(group.choices) for group in groups):
            raise UserError(
                f"{option} {key}: it makes no other group of runs; --where {key}=… asks for those of one"
            )
    keys = [*by, *_apart(groups, by)]
    over = tuple(key for key in differing(group.choices for group in groups) if key not in keys)
    cells = _cells(groups, keys)
    made = [
        Pool(dict(zip(keys, values, strict=True)), tuple(members), over) for values, members in cells.items()
    ]
    return sorted(made, key=lambda pool: [ranked(pool.by[key]) for key in keys])


def _apart(groups: Sequence[Group], by: Sequence[str]) -> list[str]:
    """The conditions that differ within a cell of these choices."""
    conditions = [key for key in CONDITIONS if key not in by]
    return [
        key
        for key in conditions
        if any(
            len({group.choices[key] for group in cell if group.choices.get(key) is not None}) > 1
            for cell in _cells(groups, by).values()
        )
    ]


def _cells(groups: Sequence[Group], keys: Sequence[str]) -> dict[tuple[Any, ...], list[Group]]:
    cells: dict[tuple[Any, ...], list[Group]] = {}
    for group in groups:
        told = _told(group)
        cells.setdefault(tuple(_hashable(told.get(key)) for key in keys), []).append(group)
    return cells


def _told(group: Group) -> dict[str, Any]:
    return {**group.choices, KIND: group.kind}


def _hashable(value: Any) -> Any:
    return str(value) if isinstance(value, list | dict) else value
