"""The counts of every named net, from the built nets. `python tests/helpers/counts.py` renews the file of them."""

import csv
from dataclasses import astuple, fields

from resnet_lab.models.counting import count
from resnet_lab.models.counts import Counts
from resnet_lab.models.named import COUNTS, entry, list_models


def counted(name: str) -> Counts:
    """From the net built without storage."""
    shape = (3, entry(name).size, entry(name).size)
    return count(entry(name).config.check().outline(shape), shape)


if __name__ == "__main__":
    with COUNTS.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["name", *(field.name for field in fields(Counts))])
        rows.writerows([name, *astuple(counted(name))] for name in list_models())
