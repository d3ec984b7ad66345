"""A source of images, as every kind of data set is one. Free of torch; what opens the images imports it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Generic, TypeVar

from resnet_lab.data.spec import DataConfig, DataInfo
from resnet_lab.errors import UserError, unknown

if TYPE_CHECKING:
    from resnet_lab.data.datamodule import Images

Config = TypeVar("Config", bound=DataConfig)


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
            return train - tested, tested
        if "test" in counts:
            return train, counts["test"]
        tested = round(getattr(config, "test_share", 0) * counts["train"])
        return train - tested, tested

    def training_images(self) -> int:
        """Return how many images a run trains on. Raises UserError where more are asked for than there are."""
        config, counts = self.config, self.counts()
        if config.fold is not None and config.fold >= config.folds:
            raise UserError(
                f"data.fold={config.fold}: allowed are 0 to {config.folds - 1} (data.folds={config.folds})"
            )
        train, test = self.left()
        if config.fold is not None and not test:
            raise UserError(f"data.folds={config.folds}: {config.name} has {counts['train']} training images")
        if "val" in counts and config.validation:
            raise UserError(
                f"data.validation={config.validation}: {config.name} keeps its own validation images"
            )
        if not test:
            share = getattr(config, "test_share", 0)
            raise UserError(
                f"data.test_share={share} of {counts['train']} images is none: name a larger share"
            )
        for key, least, most in (
            ("validation", 0, train + config.validation - 1),
            ("train_images", 1, train),
            ("test_images", 1, test),
        ):
            asked = getattr(config, key)
            if asked is not None and not least <= asked <= most:
                raise UserError(f"data.{key}={asked}: allowed are {least} to {most} images of {config.name}")
        return train if config.train_images is None else config.train_images

    def check_transform(self, channels: int, height: int, width: int) -> None:
        """Raise UserError where a transform of one's own cannot be made, or makes something else of an image."""
        if spec := getattr(self.config, "transform", None):
            import torch

            from resnet_lab.data.order import Transform

            Transform(spec)(torch.zeros(1, channels, height, width, dtype=torch.uint8), 0, [0])

    def check_fingerprint(self, found: str) -> None:
        """Raise UserError where other images are there than were meant."""
        meant, config = getattr(self.config, "fingerprint", None), self.config
        if meant not in (None, found):
            raise UserError(
                f"data.root={config.root} of {config.name} holds other images than data.fingerprint={meant}: theirs is"
                f" {found}"
            )
