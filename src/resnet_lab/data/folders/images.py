"""Encoded images, in class folders or in shards: read by index, and seen at random or from the middle."""

import os
from collections.abc import Mapping
from io import FileIO
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from resnet_lab.data.datamodule import Images
from resnet_lab.data.decode import BrokenImage, Pixels, open_picture
from resnet_lab.data.folders.augment import RandomView
from resnet_lab.data.folders.decoder import IMAGENET, Decoder, ImageFiles, Normal, View
from resnet_lab.data.folders.walk import scan
from resnet_lab.data.order import Reader, TrainOrder, Transform, rank_and_world, sample_random
from resnet_lab.data.preprocessing import CentreView, Preprocessing, by_channel, mean_and_std
from resnet_lab.data.spec import DataConfig, DataInfo, ImageFolderConfig
from resnet_lab.files import open_file

MEASURED = 10_000  # images at most that data.mean=auto is measured on, evenly among those of training
PIECE = 64  # of them at a time
UNCHANGED: Normal = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


class FolderFiles(ImageFiles):
    """The image files of class folders, sorted by class and name; scanned once, when made."""

    def __init__(self, folder: Path, class_names: tuple[str, ...]) -> None:
        self.folder = folder
        self.names, labels = scan(folder, class_names)
        self.labels = torch.from_numpy(labels)

    def read(self, index: int) -> bytes:
        try:
            with FileIO(open_file(Path(self.where(index)))) as file:
                return file.readall()
        except OSError as error:
            raise BrokenImage(error.strerror) from error

    def name(self, index: int) -> str:
        return os.fsdecode(self.names[index])

    def where(self, index: int) -> str:
        return f"{self.folder}{os.sep}{self.name(index)}"


class EncodedImages(Images):
    """Image files of each part, decoded as they are needed."""

    normal: Normal = IMAGENET

    def __init__(self, config: ImageFolderConfig, info: DataInfo, files: Mapping[str, ImageFiles]) -> None:
        self.config, self.info, self.files = config, info, files
        self.labels = {part: images.labels for part, images in files.items()}
        self.counts = {part: len(labels) for part, labels in self.labels.items()}

    def choose(self, config: DataConfig) -> None:
        super().choose(config)
        if self.config.mean == "auto":
            part, chosen = self.chosen["train"]
            some, size = chosen[:: len(chosen) // MEASURED + 1], self.config.crop
            view, choices = (
                self._centred(self.config.resize, size),
                (self.config.workers, self.config.on_error),
            )
            reader = Decoder(self.files[part], some, view, size, *choices, normal=UNCHANGED)
            batches = reader.batches(0, iter(torch.arange(len(some)).split(PIECE)))
            mean, std = mean_and_std(images for images, _ in batches)
            self.normal = tuple(mean.tolist()), tuple(std.tolist())

    @property
    def test_crop(self) -> int:
        """Side of the centre crop that is tested, in pixels."""
        return self.config.test_crop or self.config.crop

    def order(self, batch_size: int, drop_last: bool, seed: int) -> TrainOrder:
        part, chosen = self.chosen["train"]
        return self.files[part].order(chosen, batch_size, drop_last, seed, *rank_and_world())

    def train_reader(self, seed: int) -> Reader:
        view = RandomView(self.config)

        def seen(data: bytes, epoch: int, index: int) -> tuple[Pixels, NDArray[np.float32]]:
            return view(open_picture(data), sample_random(seed, epoch, index))

        transform = Transform(self.config.transform, seed) if self.config.transform else None
        return self._decoder("train", seen, self.config.crop, transform)

    def eval_reader(self, name: str) -> Reader:
        return self._decoder(name, self._centred(self.config.resize, self.test_crop), self.test_crop)

    def view_reader(self, resize: int, crop: int | None) -> Reader:
        return self._decoder("test", self._centred(resize, crop), crop)

    def preprocessing(self) -> Preprocessing:
        size, resize = (self.test_crop, self.test_crop), self.config.resize
        mean, std = map(by_channel, self.normal)
        return Preprocessing(3, size, resize, mean, std, self.info.class_names)

    def name(self, part: str, index: int) -> str:
        return self.files[part].name(index)

    def _centred(self, resize: int, crop: int | None) -> View:
        view, no_noise = CentreView(resize, crop), np.zeros(3, np.float32)

        def seen(data: bytes, _epoch: int, _index: int) -> tuple[Pixels, NDArray[np.float32]]:
            return view(open_picture(data)), no_noise

        return seen

    def _decoder(self, name: str, view: View, size: int | None, transform: Transform | None = None) -> Reader:
        (part, chosen), config = self.chosen[name], self.config
        choices = config.workers, config.on_error, self.device, transform, self.normal
        return Decoder(self.files[part], chosen, view, size, *choices)
