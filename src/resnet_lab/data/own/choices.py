"""What is known of images of somebody's own: what their YAML says, held against the first image."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning import LightningDataModule
from torch.utils.data import IterableDataset

from resnet_lab.data.own.as_it_is import look_at
from resnet_lab.data.own.facts import First, agreed, class_names_of
from resnet_lab.data.own.images import AS_TEST, OwnImages, as_tested
from resnet_lab.data.own.making import TARGET, make
from resnet_lab.data.spec import DataInfo, OwnConfig
from resnet_lab.errors import UserError, unknown
from resnet_lab.targets import locate

PARTS = ("train", "val", "test", AS_TEST)
FEW = 2  # images of a batch that is only looked at


def info(config: OwnConfig) -> DataInfo:
    """The facts, which a first image has confirmed. Raises UserError where they disagree, or it cannot be had."""
    return agreed(config, _looked_at(config))


def few(config: OwnConfig, train: int, test: int) -> OwnConfig:
    """The same with at most so many images, where they can be chosen. Raises UserError as `info` does."""
    first = _looked_at(config)
    if first.own_module:
        return config
    left = first.sizes["train"] - config.validation
    return replace(config, train_images=min(train, left), test_images=min(test, first.sizes["test"]))


def counts(config: OwnConfig) -> dict[str, int]:
    """Images of each part. Raises UserError as `info` does."""
    return _looked_at(config).sizes


def _looked_at(config: OwnConfig) -> First:
    target = locate(config._target_, TARGET) if config._target_ else None
    # What was looked at is the same as long as the code behind the target is, wherever the working folder lies.
    key = target, str(Path.cwd()), repr([config._target_, config.args, config.root, config.validation > 0])
    if key not in _LOOKED_AT:
        _LOOKED_AT[key] = look(config, make(config, FEW))
    return _LOOKED_AT[key]


_LOOKED_AT: dict[tuple[Any, str, str], First] = {}


def look(config: OwnConfig, given: Any) -> First:
    """The first training image of what a target gave. Raises UserError for what is neither sets nor a module."""
    if isinstance(given, LightningDataModule):
        return look_at(config, given)
    parts = sets(config, given)
    image, label = parts["train"].first()
    for name, images in parts.items():
        if name != "train" and (other := images.first()[0]).shape != image.shape:
            raise UserError(
                f"{images.where}: image 0 has the shape {tuple(other.shape)}, and of train {tuple(image.shape)}"
            )
    if config.validation and "val" not in parts:
        as_tested(parts["train"], parts["test"], parts.get(AS_TEST))
    return First(
        (image.shape[0], image.shape[1], image.shape[2]),
        label,
        class_names_of(parts["train"].images),
        {name: len(images) for name, images in parts.items() if name != AS_TEST},
    )


def sets(config: OwnConfig, given: Any, classes: int | None = None) -> dict[str, OwnImages]:
    """The parts of a set. Raises UserError for what has none."""
    what = f"{TARGET}={config._target_}"
    if not isinstance(given, Mapping):
        raise UserError(
            f"{what} gives {type(given).__name__}: data sets of (image, label) as {{'train': …, 'test': …}}, or a"
            " LightningDataModule, are needed"
        )
    for name in given:
        if name not in PARTS:
            raise unknown(f"part of {what}", str(name), PARTS)
    parts = {}
    for name in PARTS:
        images = given.get(name)
        if images is None:
            if name in ("train", "test"):
                raise UserError(f"{what} gives no {name!r}: train and test are needed")
            continue
        map_style = hasattr(images, "__getitem__") and hasattr(images, "__len__")
        if not map_style or isinstance(images, IterableDataset):
            raise UserError(
                f"{what}: {name} is {type(images).__name__}: a map-style data set, with __getitem__ and __len__, is"
                " needed"
            )
        parts[name] = OwnImages(images, f"{name} of {config._target_}", classes)
    return parts
