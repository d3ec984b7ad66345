"""Images of one's own, by the dotted path of what makes them: `data._target_`.

It is called with `data.args`, and gives either

- map-style data sets of (image, label) as ``{"train": …, "test": …}``, and "val" where there is one;
  with "train_as_test", the training images read without augmentation, images can be set aside. An image is a
  PIL image, a uint8 array (H, W) or (H, W, C), or a tensor (C, H, W) of uint8 or float; a label counts from 0. What a
  set draws from `random`, NumPy's or torch's global generator is a function of (seed, epoch, index);
- or a `LightningDataModule`, which is used unchanged.

Which targets may be named at all is checked before anything here is called (`resnet_lab.config.own_code`).
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resnet_lab.data.folders.fingerprint import fingerprint_of
from resnet_lab.data.source import Source
from resnet_lab.data.spec import DataInfo, OwnConfig
from resnet_lab.errors import UserError
from resnet_lab.targets import called, locate, made, takes

if TYPE_CHECKING:
    from resnet_lab.data.datamodule import Images

TARGET = "data._target_"


@dataclass(frozen=True)
class First:
    """What the first image shows, and the set around it."""

    shape: tuple[int, int, int]  # (C, H, W)
    label: Any  # a whole number; a tensor (...) names no class; None: batches are not (images, labels)
    class_names: tuple[str, ...] | None  # as the set itself tells them
    sizes: dict[str, int]  # images of each part
    own_module: bool = False  # a LightningDataModule chooses its images itself


_LOOKED_AT: dict[tuple[Any, ...], First] = {}


class OwnSource(Source[OwnConfig]):
    """What a target makes: its facts are those of the YAML and of the first image, which must agree."""

    @cached_property
    def first(self) -> First:
        """The first training image, and the sizes of the sets."""
        config = self.config
        target = locate(config._target_, TARGET) if config._target_ else None
        # What was looked at is the same as long as the code behind the target is, wherever the working folder lies.
        key = target, Path.cwd(), repr([config._target_, config.args, config.root, config.holds_out])
        if key not in _LOOKED_AT:
            _LOOKED_AT[key] = self._images(self.make()).first()
        return _LOOKED_AT[key]

    def info(self) -> DataInfo:
        config, first = self.config, self.first
        for key, found in zip(("channels", "height", "width"), first.shape, strict=True):
            said = getattr(config, key)
            if said not in (None, found):
                raise UserError(f"data.{key}={said}: the first image of {config._target_} has {found}")
        names = self._class_names()
        target = None if isinstance(first.label, int | None) else tuple(first.label.shape)
        if isinstance(first.label, int) and first.label >= len(names):
            raise UserError(
                f"the first image of {config._target_} has the label {first.label}, and there are {len(names)} classes:"
                " labels count from 0"
            )
        if config.mean == "auto" and (config.std or first.own_module):
            reason = (
                "data.std=[] is needed"
                if config.std
                else "a LightningDataModule normalises its images itself"
            )
            raise UserError(f"data.mean=auto measures the deviation, too: {reason}")
        for key in ("mean", "std"):
            numbers = [] if (numbers := getattr(config, key)) == "auto" else numbers
            if not isinstance(numbers, list) or not all(type(each) in (int, float) for each in numbers):
                raise UserError(
                    f"data.{key}={numbers}: auto is allowed for the mean, or one number for each channel"
                )
            if numbers and len(numbers) != first.shape[0]:
                raise UserError(
                    f"data.{key}={numbers}: one number for each of the {first.shape[0]} channels is needed"
                )
        if any(number <= 0 for number in config.std):
            raise UserError(f"data.std={config.std}: must be greater than 0")
        known = json.dumps(
            [sorted(first.sizes.items()), first.shape, len(names), *([target] if target else [])]
        )
        fingerprint = fingerprint_of(sum(first.sizes.values()), known.encode())
        self.check_fingerprint(fingerprint)
        return DataInfo(
            *first.shape,
            names,
            self.training_images(),
            fingerprint,
            "val" in first.sizes,
            target,
            own_batches=first.label is None,
        )

    def counts(self) -> dict[str, int]:
        return self.first.sizes

    def few(self, train: int | None, test: int) -> OwnConfig:
        return self.config if self.first.own_module else super().few(train, test)

    def training_images(self) -> int:
        if self.first.own_module:
            for key in ("train_images", "test_images", "fold"):
                if getattr(self.config, key) is not None:
                    raise UserError(f"data.{key}: a LightningDataModule chooses its images itself")
            if self.config.validation:
                raise UserError(
                    f"data.validation={self.config.validation}: {self.config._target_} keeps its own"
                )
        return super().training_images()

    def open(self) -> "Images":
        return self._images(self.make(), self.info())

    def make(self) -> Any:
        """Return what the target gives, of the arguments that the configuration has; the batch size where it takes one.

        What it draws belongs to the data, not to the run. Raises UserError where it cannot be made.
        """
        from resnet_lab.data.order import drawn

        config = self.config
        if not config._target_:
            raise UserError(
                f"{TARGET} is needed: the dotted path of what makes the images, for example my_data.make"
            )
        target = locate(config._target_, TARGET)
        given = made(config.args, "data.args")
        if config.root is not None:
            given["root"] = config.root
        if "batch_size" in takes(target):
            given.setdefault("batch_size", self.batch_size)
        with drawn("data"):
            return called(f"{TARGET}={config._target_}", target, **given)

    def _images(self, given: Any, info: DataInfo | None = None) -> Any:
        """The one of two kinds of images that a target gave; without `info` they are only looked at."""
        from lightning import LightningDataModule

        if isinstance(given, LightningDataModule):
            from resnet_lab.data.own.lightning import LightningImages

            return LightningImages(self.config, given, info)
        from resnet_lab.data.own.sets import OwnSets

        return OwnSets(self.config, given, info)

    def _class_names(self) -> tuple[str, ...]:
        config, names_there = self.config, self.first.class_names
        said = tuple(config.class_names) or None
        if said and names_there and len(said) != len(names_there):
            raise UserError(
                f"data.class_names has {len(said)} names, and {config._target_} has {len(names_there)} classes"
            )
        names, label = said or names_there, self.first.label
        if names is None and config.classes is None and not isinstance(label, int | None):
            # One output for each number of the label, unless it is a map of classes.
            if label.is_floating_point() and label.ndim < 2:
                return tuple(map(str, range(label.numel())))
            raise UserError(
                f"data.classes=… is needed: how many outputs the network has for labels {tuple(label.shape)}"
            )
        if names is None and config.classes is None:
            raise UserError(
                f"data.classes=… is needed, or data.class_names=[…]: {config._target_} does not tell them in an"
                " attribute `classes` of its training images"
            )
        if names is None:
            assert config.classes is not None
            return tuple(map(str, range(config.classes)))
        if config.classes not in (None, len(names)):
            raise UserError(f"data.classes={config.classes}: {config._target_} has {len(names)}")
        return names
