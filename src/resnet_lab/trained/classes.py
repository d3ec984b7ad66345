"""Classes by name, never by number: which output of a net stands for which class of a data set. Free of torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from resnet_lab.errors import UserError, nearest
from resnet_lab.reference import imagenet_classes

SHOWN = 3  # names in a line


@dataclass(frozen=True)
class Match:
    """The output for each class of the data, in their order, and how they were found."""

    outputs: tuple[int, ...]
    of: int  # outputs of the net
    how: str = "by name"

    @property
    def in_order(self) -> bool:
        return self.outputs == tuple(range(len(self.outputs)))

    def __str__(self) -> str:
        found = len(set(self.outputs))
        if found == self.of and self.in_order and self.how == "by name":
            return f"all {self.of:,} classes"
        share = f"{found:,} of the net's {self.of:,} classes, matched {self.how}"
        return share if found == self.of else f"{share}; errors count against all {self.of:,}"


def match(
    known: Sequence[str], outputs: int, there: Sequence[str], net: str, *, ordered: bool = False
) -> Match:
    """Find the classes of the data, `there`, among those that the net of so many outputs knows.

    ImageNet's WordNet ids and names stand for one another. A net that names nothing (`known` is empty) is taken for
    ImageNet's where it has 1,000 outputs and the data ImageNet's names; or for one trained on this set where the set
    is `ordered`, as CIFAR is for everybody. Raises UserError, which names `net`, where a class is not found.
    """
    imagenet = [_imagenet_index(name) for name in there]
    if not known and outputs == len(imagenet_classes()) and None not in imagenet:
        return Match(tuple(index for index in imagenet if index is not None), outputs, "as ImageNet's")
    if not known:
        if ordered and outputs == len(there):
            return Match(tuple(range(outputs)), outputs, "by the set's own order")
        raise UserError(
            f"{net} has {outputs:,} outputs and does not name its classes: --classes FILE does, one a line, or"
            f" --classes FOLDER, whose class folders in sorted order name them; the data has {_few(there)}"
        )
    indices = {name: index for index, name in enumerate(known)}
    if all(name in indices for name in there):
        return Match(tuple(indices[name] for name in there), outputs)
    ids = {_imagenet_index(name): index for index, name in enumerate(known)}
    if None not in ids and all(index in ids for index in imagenet):
        return Match(tuple(ids[index] for index in imagenet), outputs, "by WordNet id")
    unknown = [
        name for name, index in zip(there, imagenet, strict=True) if name not in indices and index not in ids
    ]
    unknown = unknown or [name for name in there if name not in indices]
    close = nearest(unknown[0], known)
    raise UserError(
        f"{net} does not know {_few(unknown)}"
        + (f" (did it learn {close!r}?)" if close else "")
        + f": it was trained on {_few(known)}"
    )


def _imagenet_index(name: str) -> int | None:
    """Return where ImageNet's order has a WordNet id or a name; None where it is neither."""
    return _imagenet_indices().get(name.replace("_", " "))


@cache
def _imagenet_indices() -> dict[str, int]:
    rows = list(enumerate(imagenet_classes()))
    return {row["id"]: index for index, row in rows} | {
        row["name"].replace("_", " "): index for index, row in rows
    }


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return f"class{'es' if len(names) > 1 else ''} {', '.join(map(repr, names[:SHOWN]))}{more}"
