"""Runs divided by what cannot be compared: other images, another protocol, another objective. Free of torch."""

import re
from collections.abc import Iterable, Mapping, Sequence

from resnet_lab.columns import word
from resnet_lab.report.choices import Choices
from resnet_lab.report.collect import FoundRun

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


def asks(key: str) -> bool:
    """Return whether figures of runs that differ in this choice answer another question, and are never compared."""
    return any(key == each or (each.endswith(".") and key.startswith(each)) for each in QUESTION)


def parted(runs: Iterable[FoundRun]) -> dict[str, list[FoundRun]]:
    """Return the runs by what they answer, in their order; the short name of a part says how the parts differ."""
    found: dict[tuple[tuple[str, str], ...], list[FoundRun]] = {}
    for run in runs:
        question = tuple(sorted((key, str(value)) for key, value in _question(run.choices).items()))
        found.setdefault(question, []).append(run)
    return dict(zip(_names([dict(each) for each in found]), found.values(), strict=True))


def slug(name: str) -> str:
    """Return the name of a part as a part of a file's name."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-") or "part"


def _question(choices: Choices) -> dict[str, object]:
    return {key: value for key, value in choices.items() if asks(key)}


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
