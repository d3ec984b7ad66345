"""Images of your own, by the dotted path of what makes them: `data._target_`.

It is called with `data.args`, and returns either

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
    class_names: tuple[str, ...] | None  # as the set itself has them
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
        # What was looked at stays the same as long as the code behind the target does.
        key = target, Path.cwd(), repr([config._target_, config.args, config.root, config.holds_out])
        if key not in _LOOKED_AT:
            _LOOKED_AT[key] = self._images().first()
        return _LOOKED_AT[key]

    def info(self) -> DataInfo:
        config, first, label = self.config, self.first, self.first.label
        for key, found in zip(("channels", "height", "width"), first.shape, strict=True):
            if getattr(config, key) not in (None, found):
                said = f"data.{key}={getattr(config, key)}"
                raise UserError(f"{said}: the first image of {config._target_} has {found}")
        names = self._class_names()
        if isinstance(label, int) and label >= len(names):
            what = f"the first image of {config._target_} has the label {label}"
            raise UserError(f"{what}, and there are {len(names)} classes: labels count from 0")
        self._check_statistics()
        target = None if isinstance(label, int | None) else tuple(label.shape)
        known = [sorted(first.sizes.items()), first.shape, len(names), *([target] if target else [])]
        fingerprint = fingerprint_of(sum(first.sizes.values()), json.dumps(known).encode())
        return self.facts(first.shape, names, fingerprint, target_shape=target, own_batches=label is None)

    def counts(self) -> dict[str, int]:
        return self.first.sizes

    def few(self, train: int | None, test: int) -> OwnConfig:
        return self.config if self.first.own_module else super().few(train, test)

    def training_images(self) -> int:
        if self.first.own_module:
            unchosen = {"train_images": None, "test_images": None, "fold": None, "validation": 0}
            for key, unset in unchosen.items():
                if (asked := getattr(self.config, key)) != unset:
                    raise UserError(f"data.{key}={asked}: a LightningDataModule chooses its images itself")
        return super().training_images()

    def open(self) -> "Images":
        return self._images(self.info())

    def make(self) -> Any:
        """Return what the target makes of its arguments; it gets the batch size if it takes one.

        Random numbers that it draws belong to the data, not to the run. Raises UserError where it cannot be made.
        """
        from resnet_lab.data.order import drawn

        config = self.config
        if not config._target_:
            raise UserError(f"{TARGET} is needed: a dotted path, for example my_data.make")
        target = locate(config._target_, TARGET)
        given = made(config.args, "data.args")
        if config.root is not None:
            given["root"] = config.root
        if "batch_size" in takes(target):
            given.setdefault("batch_size", self.batch_size)
        with drawn("data"):
            return called(f"{TARGET}={config._target_}", target, **given)

    def _images(self, info: DataInfo | None = None) -> Any:
        """Return what the target makes as `Images`; without `info` only to look at it."""
        from lightning import LightningDataModule

        given = self.make()
        if isinstance(given, LightningDataModule):
            from resnet_lab.data.own.lightning import LightningImages

            return LightningImages(self.config, given, info)
        from resnet_lab.data.own.sets import OwnSets

        return OwnSets(self.config, given, info)

    def _check_statistics(self) -> None:
        config, channels = self.config, self.first.shape[0]
        if config.mean == "auto" and (config.std or self.first.own_module):
            reason = (
                "data.std=[] is needed"
                if config.std
                else "a LightningDataModule normalises its images itself"
            )
            raise UserError(f"data.mean=auto also measures the deviation: {reason}")
        for key in ("mean", "std"):
            numbers = [] if (numbers := getattr(config, key)) == "auto" else numbers
            listed = isinstance(numbers, list) and all(type(each) in (int, float) for each in numbers)
            if not listed or len(numbers) not in (0, channels):
                raise UserError(
                    f"data.{key}={numbers}: one number for each of the {channels} channels is needed"
                )
        if any(number <= 0 for number in config.std):
            raise UserError(f"data.std={config.std}: must be greater than 0")

    def _class_names(self) -> tuple[str, ...]:
        config, label, there = self.config, self.first.label, self.first.class_names
        names, count = tuple(config.class_names) or there, config.classes
        if names and there and len(names) != len(there):
            classes = f"{config._target_} has {len(there)} classes"
            raise UserError(f"data.class_names has {len(names)} names, and {classes}")
        if names:
            if count not in (None, len(names)):
                raise UserError(f"data.classes={count}: {config._target_} has {len(names)}")
            return names
        if count is None and not isinstance(label, int | None):
            if not label.is_floating_point() or label.ndim > 1:
                raise UserError(
                    f"data.classes=… is needed: how many outputs labels {tuple(label.shape)} take"
                )
            count = label.numel()  # an output for each number of the label
        if count is None:
            reason = f"the training images of {config._target_} have no attribute `classes`"
            raise UserError(f"data.classes=… is needed, or data.class_names=[…]: {reason}")
        return tuple(map(str, range(count)))
