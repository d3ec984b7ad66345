"""The data module: any source of images as training, validation and test batches."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from lightning import LightningDataModule, Trainer
from torch import Tensor

from resnet_lab.data.order import (
    CPU,
    BatchOrder,
    EvalOrder,
    Loader,
    Reader,
    TrainLoader,
    TrainOrder,
    rank_and_world,
    shared_out,
)
from resnet_lab.data.preprocessing import Preprocessing
from resnet_lab.data.spec import DataConfig, DataInfo
from resnet_lab.errors import UserError

log = logging.getLogger(__name__)

Chosen = dict[str, tuple[str, Tensor]]  # of train, val and test: the part and the indices of the images in it


class Images(ABC):
    """The images of a source, once they are open: how many there are, and how they become batches."""

    counts: dict[str, int]  # images of each part: train, and val and test where they are kept apart
    labels: dict[str, Tensor]  # (N,) int64 of each part, where they are known
    published = False  # as `shared_out` has it
    eval_batches = 1  # how many times larger a batch may be where no gradients are kept
    not_promised: str | None = None  # in one line, what a run on these images does not guarantee
    device = CPU  # where batches go

    chosen: Chosen  # after `choose`

    def begin(self, trainer: Trainer | None) -> None:
        """Get ready for a run; without a `trainer`, on the CPU."""
        self.device = trainer.strategy.root_device if trainer else CPU

    def choose(self, config: DataConfig) -> None:
        """Choose the images that train, validate and test."""
        self.chosen = shared_out(config, self.counts, self.labels, published=self.published)

    def order(self, batch_size: int, drop_last: bool, seed: int) -> BatchOrder:
        """Return the training batches of every epoch."""
        return TrainOrder(len(self.chosen["train"][1]), batch_size, drop_last, seed, *rank_and_world())

    def eval_order(self, name: str, batch_size: int) -> BatchOrder:
        """Return the batches of val or test."""
        return EvalOrder(len(self.chosen[name][1]), batch_size, *rank_and_world())

    @abstractmethod
    def train_reader(self, seed: int) -> Reader:
        """Return what reads training images, augmented."""

    @abstractmethod
    def eval_reader(self, name: str) -> Reader:
        """Return what reads the images of val or test, never augmented."""

    def view_reader(self, resize: int, crop: int | None) -> Reader:  # noqa: ARG002
        """Return what reads test images with the shorter side at `resize` pixels, then the centre square of `crop`."""
        raise UserError("these images are tested on single views: protocol=single_view")

    @abstractmethod
    def preprocessing(self) -> Preprocessing:
        """Return all that is needed to treat a file as a test image."""

    def name(self, part: str, index: int) -> str:  # noqa: ARG002
        """Return the name of an image, the same wherever the files lie."""
        return str(index)

    def end(self) -> None:  # noqa: B027 (most have nothing to do)
        """Release what a run no longer needs."""

    def state_dict(self) -> dict[str, object]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Restore what `state_dict` returned."""


class DataModule(LightningDataModule):
    """Batches are (images, labels): float32 (N, C, H, W), channels-last and normalised, and int64 (N,)."""

    images: Images  # after setup
    sizes: dict[str, int]  # after setup: images of train, val and test over all devices
    test_images_there: int  # after setup: the images of which the tested ones may be a part
    tests_a_share: bool  # after setup: they are all the images, for want of test images of their own
    eval_names: tuple[str, ...]  # what val_dataloader() lists, in order: val where images are set aside, test

    def __init__(
        self,
        config: DataConfig,
        info: DataInfo,
        open_images: Callable[[], Images],
        batch_size: int,
        drop_last: bool,
        seed: int,
    ) -> None:
        """`batch_size` counts the training images of one step over all devices."""
        super().__init__()
        self.config, self.info, self._open = config, info, open_images
        self.batch_size, self.drop_last, self.seed = batch_size, drop_last, seed

    @property
    def not_promised(self) -> str | None:
        return self.images.not_promised

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002 (Lightning's signature)
        if hasattr(self, "images"):
            return
        images = self._open()
        images.begin(self.trainer)
        images.choose(self.config)
        chosen = images.chosen
        self.sizes = {name: len(indices) for name, (_, indices) in chosen.items()}
        self.eval_names = tuple(name for name in ("val", "test") if name in chosen)
        part, tested = chosen["test"]
        self.test_images_there, self.tests_a_share = images.counts[part], part == "train"
        labels = images.labels[part][tested] if part in images.labels else torch.arange(2)
        if (labels == labels[0]).all():
            only = self.info.class_names[int(labels[0])]
            log.warning(
                "the %d test images are all of one class, %s: their error says little", len(labels), only
            )
        self.images = images

    def train_dataloader(self) -> TrainLoader:
        order = self.images.order(self.batch_size, self.drop_last, self.seed)
        return TrainLoader(order, self.images.train_reader(self.seed))

    def val_dataloader(self) -> list[Loader]:
        return [self._loader(name, self.images.eval_reader(name)) for name in self.eval_names]

    def test_dataloader(self) -> Loader:
        return self._loader("test", self.images.eval_reader("test"))

    def test_views(self, resize: int | None, crop: int | None) -> Loader:
        """Return a loader of the test images at another size, as `Images.view_reader` does; None: at the usual.

        Without `crop` whole images, a batch's as a list of (3, H, W). Raises UserError where there are no other sizes.
        """
        if resize is None:
            return self.test_dataloader()
        return self._loader("test", self.images.view_reader(resize, crop))

    def tested(self, loader: Loader) -> list[tuple[int, str]]:
        """Return place and name of each image in this rank's last pass over a test loader."""
        part, chosen = self.images.chosen["test"]
        rank, world = rank_and_world()
        broken = set(loader.reader.left_out)
        places = ((place, int(chosen[place])) for place in range(rank, len(chosen), world))
        return [(place, self.images.name(part, index)) for place, index in places if index not in broken]

    def preprocessing(self) -> Preprocessing:
        """Return all that is needed to treat a file as a test image. Valid after setup."""
        return self.images.preprocessing()

    def teardown(self, stage: str) -> None:  # noqa: ARG002 (Lightning's signature)
        if hasattr(self, "images"):  # it is not where its setup failed
            self.images.end()

    def state_dict(self) -> dict[str, object]:
        return self.images.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.images.load_state_dict(state_dict)

    def _loader(self, name: str, reader: Reader) -> Loader:
        _, world = rank_and_world()
        batch_size = max(self.images.eval_batches * self.batch_size // world, 1)
        return Loader(self.images.eval_order(name, batch_size), reader)
