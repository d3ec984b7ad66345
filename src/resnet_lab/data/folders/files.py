"""The files of class folders, by index."""

import os
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import torch
from torch import Tensor

from resnet_lab.data.decode import BrokenImage
from resnet_lab.data.folders.walk import scan
from resnet_lab.data.order import TrainOrder
from resnet_lab.files import open_file


class FolderFiles:
    """The image files of class folders, sorted by class and name; scanned once, when made."""

    def __init__(self, folder: Path, class_names: tuple[str, ...]) -> None:
        self.folder = folder
        self.names, labels = scan(folder, class_names)
        self.labels = torch.from_numpy(labels)

    def order(
        self, chosen: Tensor, batch_size: int, drop_last: bool, seed: int, rank: int, world: int
    ) -> TrainOrder:
        return TrainOrder(len(chosen), batch_size, drop_last, seed, rank, world)

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

    def ahead(self, batches: Iterator[Tensor]) -> Iterator[Tensor]:
        return batches
