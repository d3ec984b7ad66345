"""Select runs by conditions, for example ``model.depth=20,56`` and ``model.shortcut!=none``. Free of torch."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resnet_lab.errors import UserError, nearest
from resnet_lab.report.collect import FoundRun

MOST = 12  # values or keys that an error lists


@dataclass(frozen=True)
class Condition:
    """A key whose value is one of these, or none of them."""

    key: str
    values: tuple[str, ...]
    equal: bool = True

    @classmethod
    def of(cls, text: str, option: str) -> "Condition":
        """Parse a condition from the command line. Raises UserError that names the option."""
        found = re.fullmatch(r"\s*([^=!\s]+)\s*(!?=)\s*(.*?)\s*", text, re.DOTALL)
        if not found:
            raise UserError(
                f"{option} {text}: key=value or key!=value is needed, for example model.depth=20,56"
            )
        return cls(found[1], tuple(each.strip() for each in found[3].split(",")), found[2] == "=")

    def holds(self, choices: Mapping[str, Any]) -> bool:
        return any(says(choices.get(self.key), each) for each in self.values) == self.equal

    def __str__(self) -> str:
        return f"{self.key}{'=' if self.equal else '!='}{','.join(self.values)}"


def says(value: Any, text: str) -> bool:
    """Return whether this is a way to write the value: 0.1 or 1e-1, true, null, basic."""
    if value is None:
        return text.lower() in ("null", "none", "")
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(text) == value
        except ValueError:
            return False
    return str(value).lower() == text.lower()


def choices_of(run: FoundRun) -> dict[str, object]:
    """Return what a condition may ask of a run: every choice, its state and its kind of unit."""
    return {**run.choices, "state": run.state, "kind": run.kind}


def selected(runs: Sequence[FoundRun], where: Iterable[str]) -> list[FoundRun]:
    """Return the runs for which every condition holds; UserError where none is left, or for a key that no run has."""
    conditions = [Condition.of(text, "--where") for text in where]
    if not conditions:
        return list(runs)
    every = [choices_of(run) for run in runs]
    for condition in conditions:
        check_key(condition.key, every, "--where")
    kept = [
        run for run, each in zip(runs, every, strict=True) if all(asked.holds(each) for asked in conditions)
    ]
    if not kept:
        said = "; ".join(f"{each.key} is {_values(each.key, every)}" for each in conditions)
        raise UserError(f"--where {' '.join(map(str, conditions))}: no run matches; available: {said}")
    return kept


def check_key(key: str, every: Iterable[Mapping[str, Any]], option: str) -> None:
    """UserError for a key that none of these has, with the nearest, and with those that vary."""
    seen: dict[str, set[str]] = {}
    for each in every:
        for name, value in each.items():
            seen.setdefault(name, set()).add(str(value))
    if key in seen:
        return
    varying = sorted(name for name, values in seen.items() if len(values) > 1)
    last = next((name for name in [*varying, *sorted(seen)] if name.rpartition(".")[2] == key), None)
    close = last or nearest(key, seen)
    hint = f"did you mean {close!r}? " if close else ""
    raise UserError(f"unknown {option} {key!r}: {hint}choices that vary: {_list(varying)}")


def _values(key: str, every: Iterable[Mapping[str, Any]]) -> str:
    return _list(list(dict.fromkeys(str(each.get(key)) for each in every)))


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(names[:MOST]) + more if names else "nothing"
