"""Estimate what each choice changes while all others are equal. Free of torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from resnet_lab.columns import choice_word, value_word, word
from resnet_lab.report.choices import differing
from resnet_lab.report.compare import Group, ranked
from resnet_lab.report.spread import Difference, Spread, difference
from resnet_lab.report.table import interval_words
from resnet_lab.report.tabular import Table

MOST = 30  # rows


@dataclass(frozen=True)
class Effect:
    """The result with another value of one choice minus that with the base, paired over settings and seeds."""

    key: str
    base: Any
    value: Any
    difference: Difference
    settings: int
    pairs: int
    diverged: int  # runs with this value that have no error, in these settings


def effects(groups: Sequence[Group]) -> list[Effect]:
    """Return the effect of each choice that varies, the largest first; none where no two settings are else the same."""
    keys = differing(group.choices for group in groups)
    found = [effect for key in keys for effect in _of(groups, key, [other for other in keys if other != key])]
    return sorted(found, key=lambda effect: -abs(effect.difference.mean))


def effects_table(groups: Sequence[Group]) -> Table | None:
    """Return the effects as a table; None where fewer than two choices vary."""
    found = effects(groups)
    if len({effect.key for effect in found}) < 2:
        return None
    result = groups[0].objective
    rows = [
        {
            "choice": word(effect.key),
            "from": _said(effect.key, effect.base),
            "to": _said(effect.key, effect.value),
            f"{result.heading} changes by": result.signed(effect.difference.mean),
            "95 % interval": interval_words(result, effect.difference),
            "pairs": str(effect.pairs),
            "settings": str(effect.settings),
            "diverged": str(effect.diverged) if effect.diverged else "",
        }
        for effect in found[:MOST]
    ]
    return Table.of(rows, words={"choice", "from", "to"})


def _of(groups: Sequence[Group], key: str, others: Sequence[str]) -> list[Effect]:
    settings: dict[tuple[str, ...], dict[Any, Group]] = {}
    for group in groups:
        value = group.choices.get(key)
        value = str(value) if isinstance(value, list | dict) else value
        settings.setdefault(tuple(str(group.choices.get(other)) for other in others), {})[value] = group
    compared = [values for values in settings.values() if sum(group.n > 0 for group in values.values()) > 1]
    values = sorted({value for each in compared for value in each}, key=ranked)
    if not values:
        return []
    base = max(values, key=lambda value: sum(value in each and each[value].n > 0 for each in compared))
    rest = [value for value in values if value != base]
    return [effect for value in rest if (effect := _effect(key, base, value, list(settings.values())))]


def _effect(key: str, base: Any, value: Any, settings: Sequence[dict[Any, Group]]) -> Effect | None:
    both = [each for each in settings if base in each and value in each]
    ours, theirs = (
        {
            (index, seed): error
            for index, each in enumerate(both)
            for seed, error in zip(each[choice].result.seeds, each[choice].result.values, strict=True)
        }
        for choice in (value, base)
    )
    pairs = [pair for pair in ours if pair in theirs]
    if not pairs:
        return None
    one, other = (Spread(tuple(errors[pair] for pair in pairs), tuple(pairs)) for errors in (ours, theirs))
    found = difference(one, other)
    diverged = sum(each[value].diverged for each in both)
    return Effect(key, base, value, found, len({index for index, _ in pairs}), len(pairs), diverged)


def _said(key: str, value: Any) -> str:
    return choice_word(key, value) if key == "model.shortcut" else value_word(value)
