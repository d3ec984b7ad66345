"""What the named nets have and cost, kept as data: the list of models needs no torch.

`python -m resnet_lab.models.counting` counts them again; tests hold the file to the built nets.
"""

import csv
from dataclasses import dataclass
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
