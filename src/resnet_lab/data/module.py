"""What every data set offers a run, beyond what Lightning asks of a data module."""

import logging
from abc import abstractmethod
from typing import Any

import torch
from lightning import LightningDataModule
from torch import Tensor

from resnet_lab.data.order import CPU, rank_and_world
from resnet_lab.data.preprocessing import Preprocessing
from resnet_lab.data.spec import DataConfig, DataInfo
from resnet_lab.errors import UserError

log = logging.getLogger(__name__)


class DataModule(LightningDataModule):
    """Batches are (images, labels): float32 (N, C, H, W), channels-last and normalised, and int64 (N,)."""

    config: DataConfig
    info: DataInfo
    sizes: dict[str, int]  # after setup: images of train, val and test over all devices
    test_images_there: int  # after setup: the images of which the tested ones may be a part
    tests_a_share: bool = False  # where they are all the images, for want of test images of their own
    not_promised: str | None = None  # in one line, what a run of these images is not sure of
    eval_names: tuple[str, ...]  # what val_dataloader() lists, in order: val where images are set aside, test

    @property
    def device(self) -> torch.device:
        """Where its batches go: that of the run, and without one the CPU."""
        return self.trainer.strategy.root_device if self.trainer else CPU

    def tell_one_class(self, labels: Tensor) -> None:
        """Log that the test images, whose labels (N,) these are, are all of one class."""
        if int(labels[0]) == int(labels.min()) == int(labels.max()):
            log.warning(
                "the %d test images are all of one class, %s: their error says little",
                len(labels),
                self.info.class_names[int(labels[0])],
            )

    @abstractmethod
    def preprocessing(self) -> Preprocessing:
        """All that is needed to treat a file as a test image. Valid after setup."""

    def test_views(self, resize: int | None, crop: int | None) -> Any:  # noqa: ARG002
        """A loader of the test images with the shorter side at `resize` pixels, then the centre square of `crop`.

        Without `resize` the usual test images. Raises UserError where the set has no other sizes, as most have none.
        """
        if resize is not None:
            raise UserError(f"{self.config.name} is tested on single views: protocol=single_view")
        return self.test_dataloader()

    def tested(self, loader: Any) -> list[tuple[int, str]]:  # noqa: ARG002
        """Of each image that this rank's last pass over a test loader gave: its place in the test set, and its name."""
        rank, world = rank_and_world()
        return [(each, str(each)) for each in range(rank, self.sizes["test"], world)]
