"""What the named nets have and cost, kept as data: the list of models needs no torch.

`python -m resnet_lab.models.counts` counts them again; tests hold the file to the built nets.
"""

import csv
from dataclasses import astuple, dataclass, fields
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("counts.csv")


@dataclass(frozen=True)
class Counts:
    parameters: int
    multiply_adds: int  # of convolutions and fully connected layers, for one image
    layers: int  # convolutions and fully connected layers, projections and gates included


@cache
def recorded() -> dict[str, Counts]:
    """The counts of each name in the file, at the size of the images that the net is made for."""
    with FILE.open(newline="") as rows:
        return {name: Counts(*map(int, numbers)) for name, *numbers in list(csv.reader(rows))[1:]}


def counts_of(name: str) -> Counts:
    """The counts of a named net: from the file, or counted where the file does not have it yet."""
    return recorded().get(name) or counted(name)


def counted(name: str) -> Counts:
    """The counts of a named net, from the net built without storage."""
    import torch

    from resnet_lab.models.counting import count
    from resnet_lab.models.registry import create_model, entry

    with torch.device("meta"):
        model = create_model(name)
    size = entry(name).size
    return count(model, (3, size, size))


def write() -> None:
    """Write the file anew."""
    from resnet_lab.models.registry import list_models

    with FILE.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["name", *(field.name for field in fields(Counts))])
        rows.writerows([name, *astuple(counted(name))] for name in list_models())


if __name__ == "__main__":
    write()
