"""What a net answers to each test image, and what that comes to. Free of torch."""

import csv
import io
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnet_lab.errors import printable
from resnet_lab.files import read_text, write_text

PREDICTIONS, CONFUSION, PER_CLASS = "predictions.csv", "confusion.csv", "per_class.csv"


@dataclass(frozen=True)
class Answer:
    """To one image; classes by name."""

    image: str
    label: str
    prediction: str
    probability: float  # of the prediction

    @property
    def right(self) -> bool:
        return self.label == self.prediction


@dataclass(frozen=True)
class Answers:
    """To every image of a test, in their order."""

    given: tuple[Answer, ...]
    classes: tuple[str, ...]  # of the data, in their order; a net may answer with others

    @property
    def error(self) -> float:
        """Per cent, as the test reports it."""
        return 100 * sum(not each.right for each in self.given) / max(len(self.given), 1)

    def mistakes(self) -> list[Answer]:
        """Return the wrong ones, surest first; of equally sure ones the earlier image."""
        return sorted((each for each in self.given if not each.right), key=lambda each: -each.probability)

    def confusion(self) -> tuple[list[str], list[list[int]]]:
        """Predicted classes, and a row of counts for each class of the data: each sums to the images of that class.

        The first columns are the classes of the data, in their order, so that the diagonal is what is right; others
        follow where the net answered with them.
        """
        counts = Counter((each.label, each.prediction) for each in self.given)
        columns = list(dict.fromkeys([*self.classes, *(each.prediction for each in self.given)]))
        return columns, [[counts[label, name] for name in columns] for label in self.classes]

    def per_class(self) -> list[dict[str, object]]:
        """Return per class: images, mistakes, error and precision (per cent), and the class it is most confused with.

        Precision is None where the net never answers with the class.
        """
        columns, counts = self.confusion()
        answered = dict(zip(columns, (sum(column) for column in zip(*counts, strict=True)), strict=True))
        rows = []
        for index, (name, row) in enumerate(zip(self.classes, counts, strict=True)):
            images, right = sum(row), row[index]
            others = [(count, -at, columns[at]) for at, count in enumerate(row) if at != index and count]
            most = max(others, default=None)
            rows.append(
                {
                    "class": name,
                    "images": images,
                    "wrong": images - right,
                    "error": 100 * (images - right) / images if images else None,
                    "precision": 100 * right / answered[name] if answered[name] else None,
                    "most_taken_for": most and most[2],
                    "times": most and most[0],
                }
            )
        return rows

    def write(self, folder: Path) -> list[Path]:
        """predictions.csv, confusion.csv and per_class.csv."""
        columns, counts = self.confusion()
        confusion = ([name, *row] for name, row in zip(self.classes, counts, strict=True))
        predictions = ([e.image, e.label, e.prediction, f"{e.probability:.9g}"] for e in self.given)
        rows = self.per_class()
        written = {
            PREDICTIONS: as_csv(["image", "label", "prediction", "probability"], predictions),
            CONFUSION: as_csv(["label", *columns], confusion),
            PER_CLASS: as_csv(list(rows[0]), (list(row.values()) for row in rows)),
        }
        for name, text in written.items():
            write_text(folder / name, text)
        return [folder / name for name in written]


def read(folder: Path) -> Answers | None:
    """Return what a folder has; None without, or where it is no such file."""
    try:
        given = csv.DictReader(io.StringIO(read_text(folder / PREDICTIONS)))
        classes = csv.DictReader(io.StringIO(read_text(folder / PER_CLASS)))
        return Answers(
            tuple(
                Answer(row["image"], row["label"], row["prediction"], float(row["probability"]))
                for row in given
            ),
            tuple(row["class"] for row in classes),
        )
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return None


def as_csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return the rows as CSV: each value in one line, and an empty cell for a figure that is not there."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(map(_cell, row) for row in (header, *rows))
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return printable(value) if isinstance(value, str) else value
