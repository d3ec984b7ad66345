"""Images from shards that `resnet-lab prepare` wrote: a local folder, or a URL such as s3://bucket/folder.

A shard is a chunk of litdata: many images in one file. litdata's own streaming deals chunks to devices and workers,
so that another number of them means other batches. Here the order stays a function of (seed, epoch, index): each
epoch shuffles the shards, cuts them into windows of 16, and shuffles the images of each window (prepare has mixed
the classes). Every batch is a slice of one window, whoever takes which part of it, and only two windows need to be
at hand: the one that is read and the one that is fetched meanwhile.

The price: each machine reads every shard, not its share of them. So shards of a URL are kept on the machine's disk
(data.cache), downloaded once for all its processes and epochs; data.cache_gb bounds what is kept. In memory are
labels and offsets alone, 20 bytes an image.
"""

import json
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resnet_lab.data.decode import BrokenImage
from resnet_lab.data.folders.decoder import ImageFiles
from resnet_lab.data.order import TrainOrder, generator
from resnet_lab.data.shards import Prepared
from resnet_lab.errors import UserError

WINDOW = 16  # shards whose images are mixed
FETCHERS = 4  # downloads at a time
LABELS = "labels.npy"
INDEX = "index.json"
FORMAT = ["bytes", "int"]  # of an item, as litdata's index names it
LABEL_BYTES = 8


@dataclass(frozen=True)
class ShardOrder(TrainOrder):
    """Training batches that each lie in one window of shards, so that shards can be read one window at a time."""

    shards: Tensor = field(kw_only=True)  # (images,) int64: the shard of each image

    def shuffled(self, epoch: int) -> Tensor:
        random = generator(self.seed, epoch, "order")
        windows = torch.randperm(int(self.shards.max()) + 1, generator=random) // WINDOW  # of each shard
        mixed = torch.randperm(self.images, generator=random)
        return mixed[windows[self.shards[mixed]].argsort(stable=True)]


class ShardFiles(ImageFiles):
    """The images of one split of a prepared set."""

    def __init__(self, prepared: Prepared, split: str) -> None:
        self.prepared = prepared
        index = json.loads(prepared.file(f"{split}/{INDEX}").read_text())
        if index["config"]["data_format"] != FORMAT or index["config"]["compression"]:
            raise UserError(f"the index of {split} was not written by resnet-lab prepare")
        self.names = [f"{split}/{chunk['filename']}" for chunk in index["chunks"]]
        self.bytes = [chunk["chunk_bytes"] for chunk in index["chunks"]]
        counts = torch.tensor([chunk["chunk_size"] for chunk in index["chunks"]])
        self.shards: Tensor = torch.arange(len(counts)).repeat_interleave(counts)
        self.starts = counts.cumsum(0) - counts
        labels = np.load(prepared.file(f"{split}/{LABELS}"), allow_pickle=False)
        self.labels = torch.from_numpy(labels).long()
        if not prepared.remote:
            for shard in range(len(self.names)):
                self._fetch(shard)

    def order(self, chosen: Tensor, *choices: Any) -> ShardOrder:
        return ShardOrder(len(chosen), *choices, shards=self.shards[chosen])

    def read(self, index: int) -> bytes:
        shard, number = self._where(index)
        try:
            with self._open(shard) as file:
                begin, end = item_bounds(file, number)
                return os.pread(file.fileno(), end - begin - LABEL_BYTES, begin)
        except OSError as error:
            raise BrokenImage(error.strerror) from error

    def name(self, index: int) -> str:
        shard, number = self._where(index)
        return f"{self.names[shard]}, image {number}"

    def where(self, index: int) -> str:
        shard, number = self._where(index)
        return f"{self.prepared.folder / self.names[shard]}, image {number}"

    def ahead(self, batches: Iterator[Tensor]) -> Iterator[Tensor]:
        return self._fetching(batches) if self.prepared.remote else batches

    def _where(self, index: int) -> tuple[int, int]:
        """Return the shard of an image, and its number there."""
        shard = int(self.shards[index])
        return shard, index - int(self.starts[shard])

    def _open(self, shard: int) -> FileIO:
        try:
            return FileIO(self.prepared.folder / self.names[shard])
        except FileNotFoundError:  # of a URL: not fetched yet, or deleted to make room
            return FileIO(self._fetch(shard))

    def _fetch(self, shard: int) -> Path:
        return self.prepared.file(self.names[shard], self.bytes[shard])

    def _fetching(self, batches: Iterator[Tensor]) -> Iterator[Tensor]:
        """Hold batches back until the shards of one more window are being fetched."""
        asked: dict[int, None] = {}  # shards in the order they are needed
        begun: set[int] = set()  # those of the batches that were handed on
        held: deque[Tensor] = deque()
        pool = ThreadPoolExecutor(FETCHERS, "fetch")
        try:
            for batch in batches:
                held.append(batch)
                new = [shard for shard in self.shards[batch].unique().tolist() if shard not in asked]
                if new:
                    asked.update(dict.fromkeys(new))
                    self.prepared.make_room({self.names[shard] for shard in list(asked)[-3 * WINDOW :]})
                    for shard in new:
                        pool.submit(self._fetch, shard)
                while held and len(asked) - len(begun) >= WINDOW:
                    begun.update(self.shards[held[0]].tolist())
                    yield held.popleft()
            yield from held
        finally:
            pool.shutdown(cancel_futures=True)


def item_bounds(file: FileIO, number: int) -> tuple[int, int]:
    """Return where in a chunk an image begins, and where the label behind it ends.

    litdata's layout, in uint32: the number of items, where each begins, where the last ends. An item: the sizes of
    its two parts, and the parts, the bytes of an image file and a label as int64.
    """
    begin, end = np.frombuffer(os.pread(file.fileno(), 8, 4 * (1 + number)), np.uint32).tolist()
    return begin + 8, end


def chunk_labels(path: Path) -> NDArray[np.int32]:
    """Read the labels of a chunk from the chunk itself."""
    chunk = np.memmap(path, np.uint8, "r")
    count = int(chunk[:4].view(np.uint32)[0])
    ends = chunk[8 : 8 + 4 * count].view(np.uint32).astype(np.int64)
    return chunk[ends[:, None] + np.arange(-LABEL_BYTES, 0)].view(np.int64)[:, 0].astype(np.int32)
