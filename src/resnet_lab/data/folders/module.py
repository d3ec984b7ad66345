"""Data sets of image files for a run: which images train, validate and test, and how they become batches."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from resnet_lab.data.decode import Pixels, open_picture
from resnet_lab.data.folders import choices
from resnet_lab.data.folders.augment import MEAN, STD, RandomView
from resnet_lab.data.folders.files import FolderFiles
from resnet_lab.data.folders.fingerprint import tell_others
from resnet_lab.data.folders.loader import (
    Decoder,
    ImageEvalLoader,
    ImageFiles,
    ImageTrainLoader,
    View,
)
from resnet_lab.data.module import DataModule
from resnet_lab.data.order import EvalOrder, rank_and_world, sample_random
from resnet_lab.data.preprocessing import CentreView, Preprocessing, by_channel
from resnet_lab.data.spec import DataInfo, ImageFolderConfig
from resnet_lab.data.subsets import shared_out

Chosen = tuple[ImageFiles, Tensor]  # files, and the indices of those that are used


class ImageData(DataModule):
    """Class folders or shards as training, validation and test batches."""

    config: ImageFolderConfig

    def __init__(
        self,
        config: ImageFolderConfig,
        info: DataInfo,
        files: Callable[[], dict[str, ImageFiles]],
        *,
        batch_size: int,
        drop_last: bool,
        seed: int,
    ) -> None:
        """`files` looks for the images under the names that are there: train, val, test."""
        super().__init__()
        self.config, self.info, self._files = config, info, files
        self.batch_size, self.drop_last, self.seed = batch_size, drop_last, seed
        self._splits: dict[str, Chosen] = {}

    @property
    def test_crop(self) -> int:
        """Side of the centre crop that is tested, in pixels."""
        return self.config.test_crop or self.config.crop

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002 (Lightning's signature)
        if not self._splits:
            files = self._files()
            shared = shared_out(self.config, {part: images.labels for part, images in files.items()})
            self._splits = {name: (files[part], chosen) for name, (part, chosen) in shared.items()}
            tests, tested = self._splits["test"]
            self.tell_one_class(tests.labels[tested])
            self.tests_a_share = "test" not in files
            self.test_images_there = len(files["train" if self.tests_a_share else "test"].labels)
            self.sizes = {name: len(chosen) for name, (_, chosen) in self._splits.items()}
            self.eval_names = tuple(name for name in ("val", "test") if name in self._splits)

    def train_dataloader(self) -> ImageTrainLoader:
        files, chosen = self._splits["train"]
        view, seed = RandomView(self.config), self.seed

        def seen(data: bytes, epoch: int, index: int) -> tuple[Pixels, NDArray[np.float32]]:
            return view(open_picture(data), sample_random(seed, epoch, index))

        order = files.order(chosen, self.batch_size, self.drop_last, seed, *rank_and_world())
        return ImageTrainLoader(order, self._decoder(files, seen, self.config.crop), chosen)

    def val_dataloader(self) -> list[ImageEvalLoader]:
        return [self._eval_loader(name, self.config.resize, self.test_crop) for name in self.eval_names]

    def test_dataloader(self) -> ImageEvalLoader:
        return self._eval_loader("test", self.config.resize, self.test_crop)

    def test_views(self, resize: int | None, crop: int | None) -> ImageEvalLoader:
        """The test images at another size: the shorter side at `resize`, then the centre square of side `crop`.

        Without `crop` whole images, a batch's as a list of (3, H, W); without `resize` the usual test images.
        """
        return self.test_dataloader() if resize is None else self._eval_loader("test", resize, crop)

    def tested(self, loader: ImageEvalLoader) -> list[tuple[int, str]]:
        files, chosen = self._splits["test"]
        return [(each, files.name(int(chosen[each]))) for each in loader.given()]

    def preprocessing(self) -> Preprocessing:
        side, resize = self.test_crop, self.config.resize
        return Preprocessing(
            3, (side, side), resize, by_channel(MEAN), by_channel(STD), self.info.class_names
        )

    def _eval_loader(self, name: str, resize: int, crop: int | None) -> ImageEvalLoader:
        files, chosen = self._splits[name]
        view, no_noise = CentreView(resize, crop), np.zeros(3, np.float32)

        def seen(data: bytes, _epoch: int, _index: int) -> tuple[Pixels, NDArray[np.float32]]:
            return view(open_picture(data)), no_noise

        rank, world = rank_and_world()
        order = EvalOrder(len(chosen), max(self.batch_size // world, 1), rank, world)
        return ImageEvalLoader(order, self._decoder(files, seen, crop), chosen)

    def _decoder(self, files: ImageFiles, view: View, size: int | None) -> Decoder:
        config = self.config
        return Decoder(files, view, size, config.workers, config.on_error, self.device)


def build(config: ImageFolderConfig, *, batch_size: int, drop_last: bool, seed: int) -> ImageData:
    """The data of a run. Raises UserError as `info` does; the images are looked for when it is set up."""

    choices.check(config, choices.NAMES)
    found = choices.found(config)
    facts = choices.facts(config, found)

    def files() -> dict[str, ImageFiles]:
        tell_others(found)
        return {name: FolderFiles(folder, found.class_names) for name, folder in found.splits.items()}

    return ImageData(config, facts, files, batch_size=batch_size, drop_last=drop_last, seed=seed)
