"""Decode batches of images ahead of time, in threads: the decoders release the interpreter's lock.

A thread decodes a few images at a time straight into their places of the batch. Which images a batch holds and what
is drawn for each is fixed before any thread starts, so their number and timing change nothing. On the CPU each image
is normalised while it is in the cache (a batch at a time takes three times as long), on another device a batch at a
time.
"""

import logging
import math
import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from typing import Any
from weakref import finalize

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resnet_lab.cores import SHARE
from resnet_lab.data.decode import BrokenImage, Pixels
from resnet_lab.data.folders.augment import MEAN, STD
from resnet_lab.data.order import CPU, Batch, Reader, TrainOrder, Transform
from resnet_lab.data.source import broken_image
from resnet_lab.errors import UserError, printable

log = logging.getLogger(__name__)

PIECE = 4  # images that a thread decodes at a time
AHEAD = 2  # batches that are decoded at a time

Normal = tuple[tuple[float, ...], tuple[float, ...]]  # mean and std of each channel, of values from 0 to 1
IMAGENET: Normal = MEAN, STD
Images = Tensor | list[Tensor]  # (N, 3, H, W), or N times (3, H, W) where sizes differ
# The bytes of an image, the epoch and its index, to uint8 pixels (H, W, 3) and the colour noise (3,) of the device.
View = Callable[[bytes, int, int], tuple[Pixels, NDArray[np.float32]]]


class ImageFiles(ABC):
    """Encoded images by index; read from many threads at once."""

    labels: Tensor  # (N,) int64

    @abstractmethod
    def read(self, index: int) -> bytes:
        """Return the bytes of an image file. Raises BrokenImage where it cannot be read."""

    @abstractmethod
    def name(self, index: int) -> str:
        """Return an image's name, which does not depend on where the files lie."""

    @abstractmethod
    def where(self, index: int) -> str:
        """Return where a person finds the image."""

    def order(self, chosen: Tensor, *choices: Any) -> TrainOrder:
        """Return the training batches of the `chosen` images, in an order that suits these files."""
        return TrainOrder(len(chosen), *choices)

    def ahead(self, batches: Iterator[Tensor]) -> Iterator[Tensor]:
        """Yield the batches of indices; some are taken early, to fetch what they need."""
        return batches


def threads_of_this_process() -> int:
    """Return the cores that this run was given, or else torch's number of threads."""
    return int(os.environ.get(SHARE) or torch.get_num_threads())


@dataclass
class _Filling:
    """A batch whose places threads fill."""

    indices: list[int]
    images: Images  # (N, H, W, 3), or N times (H, W, 3): normalised, or uint8 where that happens later
    noise: Tensor  # (N, 3)
    pieces: list[Future[dict[int, str]]] = field(default_factory=list)  # each returns what is broken in it


class Decoder(Reader):
    """Turns batches of indices into batches of images and labels, in threads.

    A broken image ends the iteration with a UserError, or, with on_error="skip", is left out of its batch,
    noted in `left_out` and reported once per epoch. An iteration that is left early stops its threads.
    """

    def __init__(
        self,
        files: ImageFiles,
        chosen: Tensor,  # indices of the files that are used; batches count within them
        view: View,
        size: int | None,  # side of the images in pixels; None: each is as large as it is
        workers: int | None = None,
        on_error: str = "stop",
        device: torch.device = CPU,  # of the batches; one that is not the CPU normalises them
        transform: Transform | None = None,
        normal: Normal = IMAGENET,
    ) -> None:
        self.files, self.chosen, self.view, self.size = files, chosen, view, size
        self.workers, self.on_error, self.device = workers, on_error, device
        self.transform, self.normal = transform, normal
        self.in_threads = device.type == "cpu" and transform is None  # where images are normalised
        self._memory = Reused()
        self.left_out: list[int] = []

    def batches(self, epoch: int, indices: Iterator[Tensor]) -> Iterator[Batch]:
        self.left_out, first_broken, batch = [], "", None
        upcoming = self.files.ahead(self.chosen[batch] for batch in indices)
        own_threads = torch.get_num_threads()
        # The pool's threads already share the cores: torch gets one within each of them, and its own again afterwards.
        pool = ThreadPoolExecutor(
            self.workers or threads_of_this_process(), "decode", torch.set_num_threads, (1,)
        )
        try:
            ahead = deque(self._start(pool, epoch, each) for each in islice(upcoming, AHEAD))
            while ahead:
                filling = ahead.popleft()
                broken = {place: why for piece in filling.pieces for place, why in piece.result().items()}
                self.left_out += [filling.indices[place] for place in broken]
                first_broken = first_broken or next(iter(broken.values()), "")
                batch = self._finish(epoch, filling, broken)
                ahead.extend(self._start(pool, epoch, each) for each in islice(upcoming, 1))
                if ahead:
                    yield batch
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(own_threads)
        # The threads end before the last batch is handed out: nobody has to ask for one more.
        if self.left_out:
            log.warning(
                "left out %d broken images of this epoch, for example %s", len(self.left_out), first_broken
            )
        if batch is not None:
            yield batch

    @torch.inference_mode(False)  # of the caller alone: the threads that fill a batch are in no such mode
    def _start(self, pool: ThreadPoolExecutor, epoch: int, indices: Tensor) -> _Filling:
        count = len(indices)
        images: Images = [torch.empty(0)] * count
        if self.size is not None and self.in_threads:
            images = self._memory.take((count, self.size, self.size, 3))
        elif self.size is not None:
            pinned = self.device.type == "cuda"
            images = torch.empty((count, self.size, self.size, 3), dtype=torch.uint8, pin_memory=pinned)
        filling = _Filling(indices.tolist(), images, torch.zeros(count, 3))
        for first in range(0, count, PIECE):
            places = range(first, min(first + PIECE, count))
            filling.pieces.append(pool.submit(self._fill, filling, epoch, places))
        return filling

    def _fill(self, filling: _Filling, epoch: int, places: range) -> dict[int, str]:
        """Decode the images of some places; return what is wrong with the broken ones."""
        images, broken = filling.images, {}
        for place in places:
            index = filling.indices[place]
            try:
                pixels, noise = self.view(self.files.read(index), epoch, index)
            except BrokenImage as error:
                broken[place] = printable(f"{self.files.where(index)}: {error}")
                if self.on_error != "skip":
                    raise broken_image(broken[place]) from error
                continue
            if not isinstance(images, Tensor):
                dtype = torch.float32 if self.in_threads else torch.uint8
                images[place] = torch.empty(pixels.shape, dtype=dtype)
            if self.in_threads:
                normalise_into(images[place], pixels, noise, self.normal)
            else:
                images[place].numpy()[:] = pixels
                filling.noise.numpy()[place] = noise
        return broken

    @torch.inference_mode(False)
    def _finish(self, epoch: int, filling: _Filling, broken: dict[int, str]) -> Batch:
        """Return images (N, 3, H, W) or N times (3, H, W), and labels, without the broken ones."""
        images, noise, indices = filling.images, filling.noise, filling.indices
        if broken:
            sound = [place for place in range(len(indices)) if place not in broken]
            if not sound:
                raise UserError(f"every image of a batch is broken, for example {broken[0]}")
            noise, indices = noise[sound], [indices[place] for place in sound]
            images = images[sound] if isinstance(images, Tensor) else [images[place] for place in sound]
        labels = sent(self.files.labels[indices], self.device)
        if not isinstance(images, Tensor):
            views = [image.permute(2, 0, 1) for image in images]
            if not self.in_threads:
                each = zip(views, noise, strict=True)
                views = [normalised(view[None], by[None], self.device, self.normal)[0] for view, by in each]
            return views, labels
        images = images.permute(0, 3, 1, 2)
        if self.transform is not None:
            images = self.transform(images, epoch, indices)
        return images if self.in_threads else normalised(images, noise, self.device, self.normal), labels


class Reused:
    """Memory of batches on the CPU, reused once nobody holds a tensor in it.

    Touching new memory first would take a fifth of the time of a batch at 224 pixels, decoding included. It comes from
    NumPy, which asks for huge pages.
    """

    def __init__(self) -> None:
        self._free: list[NDArray[np.float32]] = []

    def take(self, shape: tuple[int, ...]) -> Tensor:
        """Return a float32 tensor of arbitrary values."""
        count = math.prod(shape)
        memory = self._free.pop() if self._free else np.empty(count, np.float32)
        if len(memory) < count:
            memory = np.empty(count, np.float32)
        array = memory[:count].reshape(shape)
        # The tensor's storage holds the array, whoever holds the storage.
        finalize(array, self._free.append, memory).atexit = False
        return torch.from_numpy(array)


def sent(values: Tensor, device: torch.device) -> Tensor:
    """Return the values on the device; a copy to a GPU is asynchronous, from pinned memory."""
    if device.type == "cuda" and not values.is_pinned():
        values = values.pin_memory()
    return values.to(device, non_blocking=True)


def normalise_into(
    out: Tensor, pixels: Pixels, noise: NDArray[np.float32], normal: Normal = IMAGENET
) -> None:
    """Normalise pixels (H, W, 3), in [0, 1] and with noise (3,), into float32 `out` (H, W, 3) on the CPU.

    Works on rows of 3W values: broadcasting over a last axis of three takes a CPU twice as long.
    """
    width = pixels.shape[1]
    scale, mean, std, shift = _row(width, CPU, normal)
    if noise.any():
        shift = ((torch.from_numpy(noise) - mean) / std).repeat(width)
    out.view(-1, 3 * width).copy_(torch.from_numpy(pixels).reshape(-1, 3 * width)).mul_(scale).add_(shift)


def normalised(images: Tensor, noise: Tensor, device: torch.device, normal: Normal = IMAGENET) -> Tensor:
    """Normalise uint8 images (N, 3, H, W), channels-last, with noise (N, 3), on a device that is not the CPU."""
    pixels = sent(images, device).permute(0, 2, 3, 1)
    width = pixels.shape[2]
    scale, mean, std, _ = _row(width, device, normal)
    shift = ((sent(noise, device) - mean) / std).repeat(1, width)[:, None]
    rows = pixels.flatten(2) * scale
    return rows.add_(shift).view(pixels.shape).permute(0, 3, 1, 2)


@cache
def _row(width: int, device: torch.device, normal: Normal) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the factors of a row of 3W values, mean, std, and what is added to a row without noise."""
    mean, std = map(torch.tensor, normal)
    scale, shift = (1 / (255 * std)).repeat(width), (-mean / std).repeat(width)
    return scale.to(device), mean.to(device), std.to(device), shift.to(device)
