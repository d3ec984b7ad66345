"""Choosing some images of a labelled set."""

from collections.abc import Mapping
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from resnet_lab.data.order import generator
from resnet_lab.data.spec import ImageFolderConfig, SmallFolderConfig

SPLIT_SEED = 0  # which images are set aside belongs to the data set, not to the run


class Labelled(Protocol):
    """One part of a set, whatever its images are."""

    labels: Tensor  # (N,) int64


Labels = TypeVar("Labels", bound=Labelled)


def in_proportion(labels: Tensor, count: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Indices of `count` images, drawn so that each class keeps its share, and of the others; both sorted."""
    mixed = torch.randperm(len(labels), generator=random)
    mixed = mixed[labels[mixed].argsort(stable=True)]  # by class, at random within it
    sizes = labels.bincount()
    # Of an image within its class.
    within = torch.arange(len(labels)) - (sizes.cumsum(0) - sizes)[labels[mixed]]
    chosen = ((within + 0.5) / sizes[labels[mixed]]).argsort(stable=True)
    return mixed[chosen[:count]].sort().values, mixed[chosen[count:]].sort().values


def shared_out(
    config: ImageFolderConfig | SmallFolderConfig, files: Mapping[str, Labels]
) -> dict[str, tuple[Labels, Tensor]]:
    """Which images of class folders train, validate and test, as `config` wants them: a part, and indices in it."""
    train = files["train"]
    rest = torch.arange(len(train.labels))

    def take(key: str, labels: Tensor, count: int) -> tuple[Tensor, Tensor]:
        assert count <= len(labels)  # checked before: see `choices`
        return in_proportion(labels, count, generator(SPLIT_SEED, 0, key))

    splits: dict[str, tuple[Labels, Tensor]] = {}
    if "test" in files:
        test, tested = files["test"], torch.arange(len(files["test"].labels))
    else:
        held_out, kept = take("test_share", train.labels, round(config.test_share * len(rest)))
        test, tested, rest = train, held_out, kept
    if "val" in files:
        splits["val"] = files["val"], torch.arange(len(files["val"].labels))
    elif config.validation:
        chosen, kept = take("validation", train.labels[rest], config.validation)
        splits["val"], rest = (train, rest[chosen]), rest[kept]
    if config.train_images is not None:
        rest = rest[take("train_images", train.labels[rest], config.train_images)[0]]
    if config.test_images is not None:
        tested = tested[take("test_images", test.labels[tested], config.test_images)[0]]
    return {"train": (train, rest), **splits, "test": (test, tested)}
