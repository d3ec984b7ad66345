"""Select runs by conditions, and divide them by what cannot be compared. Free of torch."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resnet_lab.columns import word
from resnet_lab.errors import UserError, nearest
from resnet_lab.report.collect import FoundRun

MOST = 12  # values or keys that an error lists
# Keys, or beginnings of keys, that decide which images are tested, how, and what is measured. Other choices of `data`
# say how the images are trained on or shown (augmentation, normalisation, size): the same images are tested.
QUESTION = (
    "data.name",
    "data.root",  # where images have no fingerprint: None otherwise
    "data.fingerprint",
    "data.test_images",
    "data.test_share",
    "data._target_",  # its arguments are choices that a sweep may compare, unless they change the fingerprint
    "protocol",
    "objective.",
    "debug",
)


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


def selected(runs: Sequence[FoundRun], where: Iterable[str]) -> list[FoundRun]:
    """Return the runs for which every condition holds; UserError where none is left, or for a key that no run has."""
    conditions = [Condition.of(text, "--where") for text in where]
    if not conditions:
        return list(runs)
    every = [{**run.choices, "state": run.state, "kind": run.kind} for run in runs]
    for condition in conditions:
        check_key(condition.key, every, "--where")
    kept = [
        run for run, each in zip(runs, every, strict=True) if all(asked.holds(each) for asked in conditions)
    ]
    if not kept:
        values = {
            asked.key: dict.fromkeys(str(each.get(asked.key)) for each in every) for asked in conditions
        }
        said = "; ".join(f"{key} is {_list(list(found))}" for key, found in values.items())
        raise UserError(f"--where {' '.join(map(str, conditions))}: no run matches; available: {said}")
    return kept


def check_key(key: str, every: Iterable[Mapping[str, Any]], option: str) -> None:
    """Raise UserError for a key that none of these has, with the nearest, and with those that vary."""
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


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(names[:MOST]) + more if names else "nothing"


def asks(key: str) -> bool:
    """Return whether runs that differ in this choice are never compared, because they answer another question."""
    return any(key == each or (each.endswith(".") and key.startswith(each)) for each in QUESTION)


def parted(runs: Iterable[FoundRun]) -> dict[str, list[FoundRun]]:
    """Return the runs by what they answer, in their order, each part named by what tells it from the others."""
    found: dict[tuple[tuple[str, str], ...], list[FoundRun]] = {}
    for run in runs:
        question = tuple(sorted((key, str(value)) for key, value in run.choices.items() if asks(key)))
        found.setdefault(question, []).append(run)
    return dict(zip(_names([dict(each) for each in found]), found.values(), strict=True))


def slug(name: str) -> str:
    """Return a part's name as it occurs in the name of a file."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-") or "part"


def _names(questions: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the name of the data, and what else tells the parts apart."""
    if len(questions) == 1:
        return [""]
    keys = sorted({key for each in questions for key in each})
    varying = [key for key in keys if len({each.get(key) for each in questions}) > 1]
    names = [each.get("data.name", "") for each in questions]
    for key in varying:
        if len(set(names)) == len(names):
            break
        if key != "data.name":
            values = [each.get(key, "None") for each in questions]
            said = [
                "all" if value == "None" and key == "data.test_images" else value[:40] for value in values
            ]
            names = [f"{name}, {word(key)} {each}" for name, each in zip(names, said, strict=True)]
    if len(set(names)) < len(names):  # what tells them apart is longer than a name
        names = [f"{name} ({index})" for index, name in enumerate(names, 1)]
    return names
