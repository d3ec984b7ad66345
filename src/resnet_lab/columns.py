"""Name the figures and choices of runs as every table does, and print them. Standard library only.

COLUMNS has the names, units and formats of all figures of a record. A new entry appears in CSV, JSON, the list of
columns of the page, the trackers and `report --show`; name it in USUAL of report/table.py to show it by default.
`status` and a sweep's board choose their columns from it.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NOTHING = "–"


def two(value: float) -> str:
    return NOTHING if math.isnan(value) else f"{value:.2f}"


def four(value: float) -> str:
    """Return four digits, for metrics between 0 and 1."""
    return NOTHING if math.isnan(value) else f"{value:.4g}"


def seconds(value: float) -> str:
    return NOTHING if math.isnan(value) else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def whole(value: float | None) -> str:
    return NOTHING if value is None or math.isnan(value) else f"{value:,.0f}"


def large(value: float | None) -> str:
    """Return 40551040 as 40.6 M, 3857973248 as 3.86 G."""
    if value is None or math.isnan(value):
        return NOTHING
    return f"{value / 1e9:.2f} G" if value >= 1e9 else f"{value / 1e6:.2f} M"


@dataclass(frozen=True)
class Column:
    """A figure of a run: where its record has it, and how a table shows it."""

    name: str  # in CSV, JSON and data frames
    heading: str  # in words
    part: str  # of the record: last, model or cost
    key: str  # there
    unit: str = ""
    text: Callable[[float], str] = two
    better: str = ""  # lower or higher; empty where neither is

    @property
    def title(self) -> str:
        return f"{self.heading} ({self.unit})" if self.unit else self.heading

    @property
    def validated(self) -> "Column":
        """Return the column of the same figure on the validation images."""
        return _figure(self.key.replace("test", "val", 1), self.better)

    def signed(self, value: float) -> str:
        """Return a difference with its sign; empty where there is none."""
        return "" if math.isnan(value) else f"{'-' if value < 0 else '+'}{self.text(abs(value))}"

    def worse(self, difference: float) -> bool:
        """Return whether a figure that differs from another by so much is the worse of the two."""
        return difference < 0 if self.better == "higher" else difference > 0

    def of(self, record: Any) -> float | None:
        """Return the figure of a record; None where it has none."""
        part = getattr(record, self.part)
        return part.get(self.key) if isinstance(part, Mapping) else getattr(part, self.key)

    def said(self, value: float | None) -> str:
        """Return the value with its unit; empty where there is none."""
        if value is None or math.isnan(value):
            return ""
        return f"{self.text(value)} {self.unit}".rstrip()


COLUMNS = {
    column.name: column
    for column in (
        Column("val_error", "validation error", "last", "val/error", "%", better="lower"),
        Column("test_error", "test error", "last", "test/error", "%", better="lower"),
        Column("train_error", "training error", "last", "train/error", "%", better="lower"),
        Column("test_top5_error", "top-5 error", "last", "test/top5_error", "%", better="lower"),
        Column("parameters", "parameters", "model", "parameters", text=whole),
        Column("multiply_adds", "multiply-adds", "model", "multiply_adds", text=large),
        Column("processor_seconds", "processor time", "cost", "processor_seconds", "s", seconds, "lower"),
        Column("train_seconds", "training time", "cost", "train_seconds", "s", seconds, "lower"),
        Column("images_per_second", "speed", "cost", "images_per_second", "images/s", whole, "higher"),
        Column("peak_memory_mib", "memory", "cost", "peak_memory_mib", "MiB", whole, "lower"),
    )
}


def metric(name: str) -> Column:
    """Return the column of a further metric of the test, for example ``accuracy/cat``."""
    return Column(f"test_{name}", name, "last", f"test/{name}", text=four)


def objective(name: str = "test/error", mode: str = "min") -> Column:
    """Return the column of what runs are judged by: a metric of the test, and whether its least or most is best."""
    return _figure(name, "higher" if mode == "max" else "lower")


def _figure(key: str, better: str) -> Column:
    for column in COLUMNS.values():
        if (column.key, column.better) == (key, better):
            return column
    error = key.endswith("error")
    words = key.replace("val/", "validation ").replace("/", " ").replace("_", " ")
    return Column(
        key.replace("/", "_"), words, "last", key, "%" if error else "", two if error else four, better
    )


# Where the last part of a key is not what a reader would call it.
WORDS = {
    "kind": "net",
    "recipe.lr": "learning rate",
    "recipe.lr_scale": "scaled learning rates",
    "recipe.name": "recipe",
    "data.name": "data",
    "data.root": "folder of images",
    "model.name": "model",
    "model._target_": "model",
    "name": "experiment",
    "batch_norm.images": "images per batch norm",
}
PLAIN = {"none": "plain"}


def word(key: str) -> str:
    """Return what a reader calls a choice: ``weight decay`` for ``recipe.weight_decay``."""
    return WORDS.get(key) or key.rpartition(".")[2].strip("_").replace("_", " ")


def headings(keys: Iterable[str]) -> dict[str, str]:
    """Return the heading of each of these choices in one table: its word, or the key where two have the same."""
    words = {key: word(key) for key in keys}
    times = Counter(words.values())
    return {key: key if times[said] > 1 else said for key, said in words.items()}


def value_word(value: Any) -> str:
    """Return a choice as a cell says it."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


def choice_word(key: str, value: Any) -> str:
    """Return a choice with its name, as the heading of a pivot's column: ``learning rate 0.1``, ``residual (A)``."""
    if key == "kind":
        return str(value)
    if key == "model.shortcut":
        return PLAIN.get(str(value), f"residual ({value})")
    return f"{word(key)} {value_word(value)}"


def names(labels: Sequence[str], choices: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a short name for each of these: its label, then what varies among those of one label.

    For example ``resnet-20 lr=0.05``. `labels` are those of the models, `choices` what else tells the runs apart, by
    dotted key, without their seeds.
    """
    seen: dict[tuple[str, str], set[str]] = {}
    every = sorted({key for own in choices for key in own})
    for label, own in zip(labels, choices, strict=True):
        for key in every:
            seen.setdefault((key, label), set()).add(str(own.get(key)))
    keys = _telling(
        list(dict.fromkeys(key for (key, _), found in sorted(seen.items()) if len(found) > 1)), choices
    )
    last = Counter(key.rpartition(".")[2] for key in keys)
    short = {key: key if last[key.rpartition(".")[2]] > 1 else key.rpartition(".")[2] for key in keys}
    return [
        " ".join([label, *(f"{short[key]}={_brief(own[key])}" for key in keys if own.get(key) is not None)])
        for label, own in zip(labels, choices, strict=True)
    ]


def run_names(
    labels: Sequence[str],
    choices: Sequence[Mapping[str, Any]],
    seeds: Sequence[int],
    folders: Sequence[str],
) -> list[str]:
    """Return a short name for each run, for example ``resnet-20 lr=0.05 s0``.

    Runs that nothing else tells apart have what the names of their folders end with, too.
    """
    found = [f"{name} s{seed}" for name, seed in zip(names(labels, choices), seeds, strict=True)]
    times = Counter(found)
    return [
        f"{name} {folder.rpartition('-')[2]}" if times[name] > 1 else name
        for name, folder in zip(found, folders, strict=True)
    ]


# Of choices that go along with one another, these tell most.
TELLING = ("recipe.lr", "recipe.epochs", "recipe.iterations", "data.size")


def _telling(keys: Sequence[str], choices: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return these keys but for those whose values go along with those of another one."""
    kept: dict[tuple[int, ...], str] = {}
    for key in sorted(
        keys, key=lambda key: (key not in TELLING, key.startswith(("trainer.", "batch_norm.")))
    ):
        seen: dict[str, int] = {}
        kept.setdefault(tuple(seen.setdefault(str(own.get(key)), len(seen)) for own in choices), key)
    return [key for key in keys if key in kept.values()]


def _brief(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value).replace(" ", "")[:40]
