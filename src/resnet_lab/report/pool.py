"""Groups averaged over everything but a few choices, as the papers' tables do. Free of torch.

A plain average of an unbalanced design compares settings, not the choice that one asks for. So each cell is averaged
over the settings of the other choices that all cells share, unless all runs are asked for. Runs that were computed
under other conditions stay apart here, too: where they differ among the runs of one cell, the condition is one more
choice.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from resnet_lab.columns import Column, value_word, word
from resnet_lab.errors import UserError, several
from resnet_lab.report.choices import CONDITIONS, but_for_the_seed, differing
from resnet_lab.report.collect import FoundRun
from resnet_lab.report.compare import Group, ranked, states_of
from resnet_lab.report.select import check_key
from resnet_lab.report.spread import Spread

KIND = "kind"  # of unit: what tells nets apart that have no choices in common
KEYS_BESIDE = (KIND, *CONDITIONS)
VALUES = 4  # of a choice that a caption lists


@dataclass(frozen=True)
class Pool:
    """Groups that share what a table is drawn by."""

    by: Mapping[str, Any]
    groups: tuple[Group, ...]  # those that count
    over: tuple[str, ...] = ()  # what else differs among the groups of the table
    every: tuple[Group, ...] = ()  # those that were left out included

    @property
    def choices(self) -> Mapping[str, Any]:
        return self.by

    @cached_property
    def runs(self) -> tuple[FoundRun, ...]:
        return tuple(run for group in self.every or self.groups for run in group.runs)

    @property
    def n(self) -> int:
        return sum(group.n for group in self.groups)

    @property
    def diverged(self) -> int:
        return sum(group.diverged for group in self.every or self.groups)

    def last(self, metric: str) -> Spread:
        """Return a metric at the last iteration over all finished runs, paired by seed and other differences."""
        values, pairs = [], []
        for group in self.groups:
            rest = tuple(str(group.choices.get(key)) for key in self.over)
            for run in group.finished:
                if not math.isnan(value := run.last(metric)):
                    values.append(value)
                    pairs.append((run.seed, *rest) if rest else run.seed)
        return Spread(tuple(values), tuple(pairs))

    @property
    def objective(self) -> Column:
        return self.groups[0].objective

    @property
    def result(self) -> Spread:
        return self.last(self.objective.key)

    def figure(self, column: Column) -> Spread:
        """Return a figure of the record over the finished runs; once if it is the same in all groups."""
        if column.part == "model":
            fact = self.fact(column.key)
            return Spread() if fact is None else Spread((fact,))
        if column.part == "last":
            return self.last(column.key)
        return Spread(tuple(value for group in self.groups for value in group.cost(column.key).values))

    def fact(self, name: str) -> Any:
        """Return a fact of the net where it is the same in all groups, else None."""
        facts = {group.fact(name) for group in self.groups}
        return facts.pop() if len(facts) == 1 else None

    @property
    def settings(self) -> int:
        return len(self.groups)

    @property
    def remarks(self) -> str:
        return ", ".join(states_of(self.runs))


@dataclass(frozen=True)
class Pools:
    """The cells of a table, and over what they are averaged."""

    lines: Sequence[Pool]
    caption: str  # over what, and how many runs were left out
    balanced: bool = True  # whether all cells are averaged over the same settings

    @property
    def keys(self) -> list[str]:
        return list(self.lines[0].by) if self.lines else []


def pools(
    groups: Sequence[Group], by: Sequence[str], option: str = "--by", *, all_runs: bool = False
) -> Pools:
    """Return the groups by these choices, in the order of their values; UserError for a key that no run has.

    `all_runs` gives the plain average of every cell, also where cells differ in what they are averaged over.
    """
    for key in by:
        check_key(key, [_with_kind(group) for group in groups], option)
        if key not in KEYS_BESIDE and not any(key in but_for_the_seed(group.choices) for group in groups):
            raise UserError(
                f"{option} {key}: it makes no other group of runs; --where {key}=… asks for those of one"
            )
    keys = [*by, *_apart(groups, by)]
    over = tuple(key for key in differing(group.choices for group in groups) if key not in keys)
    made = [
        Pool(dict(zip(keys, values, strict=True)), tuple(members), over, tuple(members))
        for values, members in _cells(groups, keys).items()
    ]
    made.sort(key=lambda pool: [ranked(pool.by[key]) for key in keys])
    return _balanced(made, over, all_runs=all_runs)


def _balanced(lines: Sequence[Pool], over: Sequence[str], *, all_runs: bool) -> Pools:
    """Return the cells over the settings, and their seeds, that all cells with a result share."""
    cells = [line for line in lines if line.n]
    # What is the same throughout each cell goes along with the choice that is asked for: no setting, but part of it.
    along = [key for key in over if all(_constant(line, key) for line in cells)]
    free = tuple(key for key in over if key not in along)
    settings = [_settings(line, free) for line in cells]
    names = ", ".join([*map(word, free), "seed"])
    confounded = (
        f"; {', '.join(map(word, along))} differs along with it" if _is_confounded(cells, along) else ""
    )
    shared = [each for each in settings[0] if all(each in other for other in settings)] if settings else []
    if all(set(found) == set(shared) and _alike(found, settings) for found in settings):
        return Pools(lines, f"taken over {names}{confounded}")
    if all_runs:
        return Pools(
            lines,
            f"taken over {names}, a plain average of all runs, and of other settings in each cell{confounded}",
            balanced=False,
        )
    if not shared:
        said = f"taken over {names}: no setting of these is shared by all, so the cells cannot be compared"
        return Pools(lines, said + confounded, balanced=False)
    seeds = {each: _shared_seeds([found[each] for found in settings]) for each in shared}
    kept = {
        id(line): replace(
            line, groups=tuple(_only(found[each], seeds[each]) for each in shared if seeds[each])
        )
        for line, found in zip(cells, settings, strict=True)
    }
    if not any(seeds.values()):  # no seed in common: whole settings
        kept = {
            id(line): replace(line, groups=tuple(found[each] for each in shared))
            for line, found in zip(cells, settings, strict=True)
        }
    lost = sum(line.n - kept[id(line)].n for line in cells)
    total = sum(line.n for line in cells)
    where = f" ({'; '.join(_values(free, shared))})" if free else ""
    said = (
        f"taken over {names}, at the {several(len(shared), 'setting')} that all share{where}; "
        f"{lost} of {total} runs are left out, --all-runs averages all{confounded}"
    )
    return Pools([kept.get(id(line), line) for line in lines], said)


def _is_confounded(cells: Sequence[Pool], along: Sequence[str]) -> bool:
    """Return whether choices that go along with the one asked for are more than what a kind of net is made of."""
    return bool(along) and not any(KIND in cell.by for cell in cells)


def _constant(line: Pool, key: str) -> bool:
    return len({_hashable(group.choices.get(key)) for group in line.groups if group.n}) == 1


def _settings(line: Pool, keys: Sequence[str]) -> dict[tuple[Any, ...], Group]:
    return {
        tuple(_hashable(group.choices.get(key)) for key in keys): group for group in line.groups if group.n
    }


def _alike(found: Mapping[Any, Group], settings: Sequence[Mapping[Any, Group]]) -> bool:
    """Return whether a cell has the seeds of the other cells in each of several settings: all weigh alike."""
    if len(found) == 1:
        return True
    return all(_seeds(found[each]) == _seeds(other[each]) for other in settings for each in found)


def _seeds(group: Group) -> frozenset[int]:
    return frozenset(run.seed for run in group.finished)


def _shared_seeds(groups: Sequence[Group]) -> frozenset[int]:
    return frozenset.intersection(*map(_seeds, groups))


def _only(group: Group, seeds: frozenset[int]) -> Group:
    return replace(group, runs=tuple(run for run in group.runs if run.seed in seeds))


def _values(keys: Sequence[str], settings: Sequence[Sequence[Any]]) -> list[str]:
    """List the values of each key in these settings, for example ``depth 20, 56``."""
    columns = [sorted(set(column), key=ranked) for column in zip(*settings, strict=True)]
    return [
        f"{word(key)} {', '.join(map(value_word, found[:VALUES]))}"
        + (f" and {len(found) - VALUES} more" if len(found) > VALUES else "")
        for key, found in zip(keys, columns, strict=True)
    ]


def _apart(groups: Sequence[Group], by: Sequence[str]) -> list[str]:
    """Return the conditions that differ within a cell of these choices."""
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
        choices = _with_kind(group)
        cells.setdefault(tuple(_hashable(choices.get(key)) for key in keys), []).append(group)
    return cells


def _with_kind(group: Group) -> dict[str, object]:
    return {**group.choices, KIND: group.kind}


def _hashable(value: Any) -> Any:
    return str(value) if isinstance(value, list | dict) else value
