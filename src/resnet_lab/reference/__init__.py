"""Read what the two papers printed: tables, exact counts, recipes, and what others reached.

he2015 is arXiv 1512.03385, he2016 arXiv 1603.05027. Errors are in per cent. A row is a dictionary
of its columns; numbers arrive as numbers, an empty cell as None.
"""

import csv
from functools import cache
from importlib.resources import files
from typing import Any

from resnet_lab.errors import unknown

Row = dict[str, Any]


def names() -> list[str]:
    """List the tables and figures that `table` reads, for example ``he2015/table6``."""
    papers = (entry.name for entry in files(__package__).iterdir() if entry.name.startswith("he20"))
    return sorted(name.removesuffix(".csv").replace("_", "/") for name in papers)


def table(name: str) -> list[Row]:
    """Return a table or figure of a paper, row by row.

    Source: he2015 Tables 1 to 6, Figures 6 and 7 (read off the drawing, so approximate); he2016
    Tables 1 to 5, where a CIFAR figure is the median of 5 runs and ``failed`` means a test error above 20 %.
    Raises UserError for a name that is not in `names()`.
    """
    if name not in names():
        raise unknown("table of the papers", name, names())
    return _read(name.replace("/", "_"))


def exact_counts() -> list[Row]:
    """Return parameters and multiply-adds of 75 architectures, counted layer by layer, next to the papers' figures.

    Source: computed from the architectures of he2015 Section 3.3, 4.2 and he2016 Section 3 to 5.
    """
    return _read("exact_counts")


def community() -> list[Row]:
    """Return what other reimplementations reached: a row per network, its source and how the error was picked.

    Source: the public repositories and threads named in the column ``source``.
    """
    return _read("community")


def imagenet_classes() -> list[Row]:
    """Return the 1,000 classes of ImageNet (ILSVRC 2012) in the order of a network's outputs: WordNet id and name.

    Source: the challenge's WordNet ids, sorted, as torchvision's ImageFolder orders their folders; the names are
    those that torchvision's weights carry.
    """
    return _read("imagenet_classes")


def recipes() -> Row:
    """Return what each paper states about training and testing, what it leaves open, and how we know.

    Source: he2015 Sections 3.4, 4.1, 4.2; he2016 Sections 3, 5 and appendix; the authors' repositories.
    """
    import yaml

    return dict(yaml.safe_load(_text("recipes.yaml")))


def _read(stem: str) -> list[Row]:
    return [
        {key: _value(cell) for key, cell in row.items()}
        for row in csv.DictReader(_text(stem + ".csv").splitlines())
    ]


@cache
def _text(filename: str) -> str:
    return files(__package__).joinpath(filename).read_text(encoding="utf-8")


def _value(cell: str) -> int | float | str | None:
    """Return the cell as the narrowest of None, int, float and str that holds it."""
    for kind in (int, float):
        try:
            return kind(cell)
        except ValueError:
            pass
    return cell or None
