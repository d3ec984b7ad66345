"""What a first image tells of a set, and what comes of it together with its YAML."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from resnet_lab.data.folders.fingerprint import fingerprint_of
from resnet_lab.data.preprocessing import Preprocessing, by_channel
from resnet_lab.data.spec import DataInfo, OwnConfig
from resnet_lab.errors import UserError


@dataclass(frozen=True)
class First:
    """What the first image tells, and the set around it."""

    shape: tuple[int, int, int]  # (C, H, W)
    label: int | Tensor  # a tensor (...) names no class
    class_names: tuple[str, ...] | None  # as the set itself tells them
    sizes: dict[str, int]  # images of each part
    own_module: bool = False  # a LightningDataModule chooses its images itself


def preprocessing(config: OwnConfig, info: DataInfo) -> Preprocessing:
    """How a file becomes what the net takes, as far as the configuration tells."""
    mean = by_channel(config.mean or [0.0] * info.channels)
    std = by_channel(config.std or [1.0] * info.channels)
    return Preprocessing(info.channels, (info.height, info.width), None, mean, std, info.class_names)


def class_names_of(images: Any) -> tuple[str, ...] | None:
    """As torchvision's data sets tell them."""
    names = getattr(images, "classes", None)
    listed = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
    return tuple(names) if names and listed else None


def agreed(config: OwnConfig, first: First) -> DataInfo:
    """What YAML and image agree on. Raises UserError where they do not."""
    for key, found in zip(("channels", "height", "width"), first.shape, strict=True):
        said = getattr(config, key)
        if said not in (None, found):
            raise UserError(f"data.{key}={said}: the first image of {config._target_} has {found}")
    names = _class_names(config, first)
    target = tuple(first.label.shape) if isinstance(first.label, Tensor) else None
    if isinstance(first.label, int) and first.label >= len(names):
        raise UserError(
            f"the first image of {config._target_} has the label {first.label}, and there are {len(names)} classes:"
            " labels count from 0"
        )
    for key in ("mean", "std"):
        numbers = getattr(config, key)
        if numbers and len(numbers) != first.shape[0]:
            raise UserError(
                f"data.{key}={numbers}: one number for each of the {first.shape[0]} channels is needed"
            )
    if any(number <= 0 for number in config.std):
        raise UserError(f"data.std={config.std}: must be greater than 0")
    known = json.dumps([sorted(first.sizes.items()), first.shape, len(names), *([target] if target else [])])
    fingerprint = fingerprint_of(sum(first.sizes.values()), known.encode())
    if config.fingerprint not in (None, fingerprint):
        raise UserError(
            f"{config._target_} gives other images than data.fingerprint={config.fingerprint}: their number, shape"
            f" or classes make it {fingerprint}"
        )
    training = _counted(config, first.sizes, own_module=first.own_module)
    return DataInfo(*first.shape, names, training, fingerprint, "val" in first.sizes, target)


def _class_names(config: OwnConfig, first: First) -> tuple[str, ...]:
    said = tuple(config.class_names) or None
    if said and first.class_names and len(said) != len(first.class_names):
        raise UserError(
            f"data.class_names has {len(said)} names, and {config._target_} tells {len(first.class_names)} classes"
        )
    names = said or first.class_names
    if names is None and config.classes is None and isinstance(first.label, Tensor):
        # One output for each number of the label, unless it is a map of classes.
        if first.label.is_floating_point() and first.label.ndim < 2:
            return tuple(map(str, range(first.label.numel())))
        raise UserError(
            f"data.classes=… is needed: how many outputs the network has for labels {tuple(first.label.shape)}"
        )
    if names is None and config.classes is None:
        raise UserError(
            f"data.classes=… is needed, or data.class_names=[…]: {config._target_} does not tell them in an attribute"
            " `classes` of its training images"
        )
    if names is None:
        assert config.classes is not None
        return tuple(map(str, range(config.classes)))
    if config.classes not in (None, len(names)):
        raise UserError(f"data.classes={config.classes}: {config._target_} has {len(names)}")
    return names


def _counted(config: OwnConfig, sizes: Mapping[str, int], *, own_module: bool) -> int:
    """The images to train on. Raises UserError where more are asked for than there are."""
    if own_module:
        for key in ("train_images", "test_images"):
            if getattr(config, key) is not None:
                raise UserError(f"data.{key}: a LightningDataModule chooses its images itself")
    if config.validation and (own_module or "val" in sizes):
        raise UserError(f"data.validation={config.validation}: {config._target_} keeps its own")
    left = sizes["train"] - config.validation
    for key, least, there in (
        ("validation", 0, sizes["train"] - 1),
        ("train_images", 1, left),
        ("test_images", 1, sizes["test"]),
    ):
        asked = getattr(config, key)
        if asked is not None and not least <= asked <= there:
            raise UserError(f"data.{key}={asked}: {least} to {there} images of {config._target_}")
    return left if config.train_images is None else config.train_images
