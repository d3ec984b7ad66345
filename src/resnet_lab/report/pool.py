"""Average groups over everything but a few choices, as the papers' tables do. Free of torch.

A plain average of an unbalanced design compares settings, not the choice that one asks for. So each cell is averaged
over the settings of the other choices that all cells share, unless all runs are asked for. Runs that were computed
under other conditions stay apart here, too: where they differ among the runs of one cell, the condition is one more
choice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from resnet_lab.columns import value_word, word
from resnet_lab.errors import UserError, several
from resnet_lab.report.choices import CONDITIONS, but_for_the_seed, differing
from resnet_lab.report.collect import FoundRun
from resnet_lab.report.compare import Group, Line, ranked
from resnet_lab.report.select import check_key
from resnet_lab.report.spread import Spread

KIND = "kind"  # of unit: what tells nets apart that have no choices in common
KEYS_BESIDE = (KIND, *CONDITIONS)
VALUES = 4  # of a choice that a caption lists


@dataclass(frozen=True)
class Pool(Line):
    """Groups that share what a table is drawn by."""

    by: Mapping[str, Any]
    groups: tuple[Group, ...]  # those that count
    over: tuple[str, ...]  # what else differs among the groups of the table
    runs: tuple[FoundRun, ...]  # those of groups that were left out included

    @property
    def choices(self) -> Mapping[str, Any]:
        return self.by

    @property
    def settings(self) -> int:
        return len(self.groups)

    @cached_property
    def finished(self) -> tuple[FoundRun, ...]:
        return tuple(run for group in self.groups for run in group.finished)

    def last(self, metric: str) -> Spread:
        """Return a metric at the last iteration, paired by the seed and by what else differs."""
        values: list[float] = []
        pairs: list[Any] = []
        for group in self.groups:
            rest = tuple(str(group.choices.get(key)) for key in self.over)
            found = group.last(metric)
            values += found.values
            pairs += [(seed, *rest) if rest else seed for seed in found.seeds]
        return Spread(tuple(values), tuple(pairs))

    def fact(self, name: str) -> Any:
        """Return a fact of the network where it is the same in all groups, else None."""
        facts = {group.fact(name) for group in self.groups}
        return facts.pop() if len(facts) == 1 else None


@dataclass(frozen=True)
class Pools:
    """Hold the cells of a table, and say over what they are averaged."""

    lines: Sequence[Pool]
    keys: Sequence[str]  # what the cells are drawn by, and conditions that differ within one
    caption: str  # over what, and how many runs were left out


def pools(
    groups: Sequence[Group], by: Sequence[str], option: str = "--by", *, all_runs: bool = False
) -> Pools:
    """Return the groups by these choices, in the order of their values; UserError for a key that no run has.

    `all_runs` gives the plain average of every cell, also where cells differ in what they are averaged over.
    """
    for key in by:
        check_key(key, [{**group.choices, KIND: group.kind} for group in groups], option)
        if key not in KEYS_BESIDE and not any(key in but_for_the_seed(group.choices) for group in groups):
            raise UserError(
                f"{option} {key}: it makes no other group of runs; --where {key}=… asks for those of one"
            )
    keys = [*by, *_apart(groups, by)]
    over = tuple(key for key in differing(group.choices for group in groups) if key not in keys)
    made = [
        Pool(
            dict(zip(keys, values, strict=True)),
            tuple(members),
            over,
            tuple(run for group in members for run in group.runs),
        )
        for values, members in _cells(groups, keys).items()
    ]
    made.sort(key=lambda pool: [ranked(pool.by[key]) for key in keys])
    lines, caption = _balanced(made, over, all_runs=all_runs)
    return Pools(lines, keys, caption)


def _balanced(lines: Sequence[Pool], over: Sequence[str], *, all_runs: bool) -> tuple[Sequence[Pool], str]:
    """Return the cells over the settings, and their seeds, that all cells with a result share, and the caption."""
    cells = [line for line in lines if line.n]
    # What is the same throughout each cell goes along with the choice that is asked for: no setting, but part of it.
    along = [key for key in over if all(len(_settings(line, [key])) == 1 for line in cells)]
    free = [key for key in over if key not in along]
    settings = [_settings(line, free) for line in cells]
    names = ", ".join([*map(word, free), "seed"])
    # A kind of net is made of choices: those that go along with it are no surprise.
    kinds = any(KIND in cell.by for cell in cells)
    confounded = f"; {', '.join(map(word, along))} differs along with it" if along and not kinds else ""
    shared = [each for each in settings[0] if all(each in other for other in settings)] if settings else []
    seeds = {each: [_seeds(found[each]) for found in settings] for each in shared}
    same_seeds = len(shared) == 1 or all(len(set(each)) == 1 for each in seeds.values())
    if all(len(found) == len(shared) for found in settings) and same_seeds:
        return lines, f"taken over {names}{confounded}"
    if all_runs:
        how = "a plain average of all runs, and of other settings in each cell"
        return lines, f"taken over {names}, {how}{confounded}"
    if not shared:
        how = "no setting of these is shared by all, so the cells cannot be compared"
        return lines, f"taken over {names}: {how}{confounded}"
    common = {each: frozenset.intersection(*found) for each, found in seeds.items()}
    if any(common.values()):  # otherwise no seed is shared: whole settings
        settings = [
            {each: _only(found[each], kept) for each, kept in common.items() if kept} for found in settings
        ]
    kept = {
        id(line): replace(line, groups=tuple(found[each] for each in shared if each in found))
        for line, found in zip(cells, settings, strict=True)
    }
    total = sum(line.n for line in cells)
    lost = total - sum(line.n for line in kept.values())
    where = f" ({'; '.join(_values(free, shared))})" if free else ""
    said = (
        f"taken over {names}, at the {several(len(shared), 'setting')} that all share{where}; "
        f"{lost} of {total} runs are left out, --all-runs averages all{confounded}"
    )
    return [kept.get(id(line), line) for line in lines], said


def _settings(line: Pool, keys: Sequence[str]) -> dict[tuple[Any, ...], Group]:
    return {
        tuple(_hashable(group.choices.get(key)) for key in keys): group for group in line.groups if group.n
    }


def _seeds(group: Group) -> frozenset[int]:
    return frozenset(run.seed for run in group.finished)


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
    cells = _cells(groups, by).values()
    known = {
        key: [{group.choices.get(key) for group in cell} - {None} for cell in cells] for key in CONDITIONS
    }
    return [key for key, found in known.items() if key not in by and max(map(len, found)) > 1]


def _cells(groups: Sequence[Group], keys: Sequence[str]) -> dict[tuple[Any, ...], list[Group]]:
    cells: dict[tuple[Any, ...], list[Group]] = {}
    for group in groups:
        values = tuple(_hashable(group.kind if key == KIND else group.choices.get(key)) for key in keys)
        cells.setdefault(values, []).append(group)
    return cells


def _hashable(value: Any) -> Any:
    return str(value) if isinstance(value, list | dict) else value
