"""A source of images, as every kind of data set is one. Free of torch; what opens the images imports it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from resnet_lab.data.spec import DataConfig, DataInfo
from resnet_lab.errors import UserError, unknown

if TYPE_CHECKING:
    from resnet_lab.data.datamodule import Images

Config = TypeVar("Config", bound=DataConfig)


def broken_image(which: str) -> UserError:
    """Return the error of a run that a broken image stops; `which` names the image and what is wrong with it."""
    return UserError(f"broken image {which} (data.on_error=skip would leave it out)")


class Source(ABC, Generic[Config]):
    """The images that a configuration names. Each method raises UserError for a choice or a place that will not do."""

    names: tuple[str, ...] = ()  # those that `data.name` may have; empty: any

    def __init__(self, config: Config, batch_size: int = 2) -> None:
        """`batch_size` is for a set that composes its batches itself."""
        self.config, self.batch_size = config, batch_size
        if self.names and config.name not in self.names:
            raise unknown("data.name", config.name, self.names)

    @abstractmethod
    def info(self) -> DataInfo:
        """Return what is known of the images before they are loaded."""

    @abstractmethod
    def counts(self) -> Mapping[str, int]:
        """Return the number of images of each part: train, and val and test where they are kept apart."""

    @abstractmethod
    def open(self) -> "Images":
        """Return the images, ready to be chosen from."""

    @property
    def root(self) -> str:
        """The folder or URL that the configuration names. Raises UserError where it names none."""
        if self.config.root is None:
            raise UserError(f"data={self.config.name} needs to know where its images lie: data.root=…")
        return self.config.root

    @property
    def test_share(self) -> float:
        return getattr(self.config, "test_share", 0)

    def few(self, train: int | None, test: int) -> Config:
        """Return the configuration of at most so many training images (None: as many as now) and test images."""
        config, (train_images, test_images) = self.config, self.left()
        least = config.train_images or train_images
        return replace(
            config,
            train_images=config.train_images if train is None else min(train, least),
            test_images=min(test, config.test_images or test_images),
        )

    def left(self) -> tuple[int, int]:
        """Return how many images there are to train and to test on, without those that are set aside."""
        config, counts = self.config, self.counts()
        train = counts["train"] - config.validation
        if config.fold is not None:
            tested = len(range(config.fold, counts["train"], config.folds))
        elif "test" in counts:
            return train, counts["test"]
        else:
            tested = round(self.test_share * counts["train"])
        return train - tested, tested

    def training_images(self) -> int:
        """Return how many images a run trains on. Raises UserError where more are asked for than there are."""
        config, counts = self.config, self.counts()
        if config.fold is not None and config.fold >= config.folds:
            allowed = f"0 to {config.folds - 1} (data.folds={config.folds})"
            raise UserError(f"data.fold={config.fold}: allowed are {allowed}")
        train, test = self.left()
        if not test:
            key = f"test_share={self.test_share}" if config.fold is None else f"folds={config.folds}"
            raise UserError(f"data.{key} of {counts['train']} images leaves none to test on")
        if "val" in counts and config.validation:
            raise UserError(f"data.validation={config.validation}: {config.name} keeps its own")
        most_aside = train + config.validation - 1
        limits = ("validation", 0, most_aside), ("train_images", 1, train), ("test_images", 1, test)
        for key, least, most in limits:
            asked = getattr(config, key)
            if asked is not None and not least <= asked <= most:
                raise UserError(f"data.{key}={asked}: allowed are {least} to {most} images of {config.name}")
        return train if config.train_images is None else config.train_images

    def facts(
        self,
        shape: tuple[int, int, int],
        class_names: tuple[str, ...],
        fingerprint: str | None = None,
        **more: Any,
    ) -> DataInfo:
        """Return the facts of images (C, H, W), once what the configuration says of them is checked."""
        meant, config = getattr(self.config, "fingerprint", None), self.config
        if meant not in (None, fingerprint):
            other = f"other images than data.fingerprint={meant}: theirs is {fingerprint}"
            raise UserError(f"data.root={config.root} of {config.name} holds {other}")
        if transform := getattr(config, "transform", None):
            import torch

            from resnet_lab.data.order import Transform

            Transform(transform)(torch.zeros(1, *shape, dtype=torch.uint8), 0, [0])
        return DataInfo(
            *shape, class_names, self.training_images(), fingerprint, "val" in self.counts(), **more
        )
