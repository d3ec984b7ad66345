"""Choosing some images of a labelled set."""

from collections.abc import Mapping

import torch
from torch import Tensor

from resnet_lab.data.order import generator
from resnet_lab.data.spec import DataConfig

SPLIT_SEED = 0  # which images are set aside belongs to the data set, not to the run


def in_proportion(labels: Tensor, count: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Indices of `count` images, drawn so that each class keeps its share, and of the others; both sorted."""
    mixed = torch.randperm(len(labels), generator=random)
    mixed = mixed[labels[mixed].argsort(stable=True)]  # by class, at random within it
    sizes = labels.bincount()
    # Of an image within its class.
    within = torch.arange(len(labels)) - (sizes.cumsum(0) - sizes)[labels[mixed]]
    chosen = ((within + 0.5) / sizes[labels[mixed]]).argsort(stable=True)
    return mixed[chosen[:count]].sort().values, mixed[chosen[count:]].sort().values


def shared_out(config: DataConfig, labels: Mapping[str, Tensor]) -> dict[str, tuple[str, Tensor]]:
    """Choose the images that train, validate and test: for each, the part that they come from and indices in it.

    `labels` are those of each part, (N,) int64; all equal where they are not known. Each choice keeps every class's
    share. Without a test part, `config.test_share` of the training images is tested on.
    """
    rest = torch.arange(len(labels["train"]))

    def take(key: str, part: str, among: Tensor, count: int) -> tuple[Tensor, Tensor]:
        assert count <= len(among)  # checked before: see `choices`
        random = generator(SPLIT_SEED, 0, key)
        chosen, others = in_proportion(labels[part][among], count, random)
        return among[chosen], among[others]

    splits: dict[str, tuple[str, Tensor]] = {}
    if "test" in labels:
        test, tested = "test", torch.arange(len(labels["test"]))
    else:
        share = round(getattr(config, "test_share", 0) * len(rest))
        test, (tested, rest) = "train", take("test_share", "train", rest, share)
    if "val" in labels:
        splits["val"] = "val", torch.arange(len(labels["val"]))
    elif config.validation:
        aside, rest = take("validation", "train", rest, config.validation)
        splits["val"] = "train", aside
    if config.train_images is not None:
        rest, _ = take("train_images", "train", rest, config.train_images)
    if config.test_images is not None:
        tested, _ = take("test_images", test, tested, config.test_images)
    return {"train": ("train", rest), **splits, "test": (test, tested)}
