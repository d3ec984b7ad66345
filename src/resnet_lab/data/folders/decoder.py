"""Batches of decoded images, a few ahead, by threads: the decoders let them run beside one another.

A thread decodes a few images at a time straight into their places of the batch. Which images a batch holds and what
is drawn for each is fixed before any thread starts, so their number and timing change nothing. On the CPU each picture
is normalised while it is in the cache, on another device a batch at a time.
"""

import logging
import math
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from threading import Lock
from typing import Any, Protocol
from weakref import finalize

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resnet_lab.cores import SHARE
from resnet_lab.data.decode import BrokenImage, Pixels
from resnet_lab.data.folders.augment import MEAN, STD
from resnet_lab.data.order import CPU, Batch, Reader, TrainOrder, Transform
from resnet_lab.errors import UserError, printable

log = logging.getLogger(__name__)

PIECE = 4  # images that a thread decodes at a time
AHEAD = 2  # batches in the making, the one that is waited for included

Normal = tuple[tuple[float, ...], tuple[float, ...]]  # mean and std of each channel, of values from 0 to 1
IMAGENET: Normal = MEAN, STD
Images = Tensor | list[Tensor]  # (N, 3, H, W), or N times (3, H, W) where sizes differ
# The bytes of an image, the epoch and its index, to uint8 pixels (H, W, 3) and the colour noise (3,) of the device.
View = Callable[[bytes, int, int], tuple[Pixels, NDArray[np.float32]]]


class ImageFiles(Protocol):
    """Encoded images by index; read from many threads at once."""

    labels: Tensor  # (N,) int64

    def order(self, chosen: Tensor, *choices: Any) -> TrainOrder:
        """The training batches of the `chosen` images, in which these files are read with ease; `choices` are its."""
        ...

    def read(self, index: int) -> bytes:
        """The bytes of an image file. Raises BrokenImage where it cannot be read."""
        ...

    def name(self, index: int) -> str:
        """Return an image's name, which does not depend on where the files lie."""
        ...

    def where(self, index: int) -> str:
        """The place of an image, as a person would look for it."""
        ...

    def ahead(self, batches: Iterator[Tensor]) -> Iterator[Tensor]:
        """Yield the batches of indices; some are taken early, to fetch what they need."""
        ...


def threads_of_this_process() -> int:
    """The share of the cores that a run was given; elsewhere torch's threads."""
    return int(os.environ.get(SHARE) or torch.get_num_threads())


@dataclass
class _Making:
    """A batch in the making: threads fill its places."""

    indices: list[int]
    # (N, H, W, 3), or N times (H, W, 3) where sizes differ: normalised, or uint8 where a device will do it.
    images: Images
    noise: Tensor  # (N, 3)
    on_cpu: bool
    normal: Normal
    pieces: int  # that are not filled yet
    batch: Future[Any] = field(default_factory=Future)
    broken: dict[int, str] = field(default_factory=dict)  # place in the batch: what is wrong
    lock: Lock = field(default_factory=Lock)

    def is_whole(self) -> bool:
        """Told of one piece more that is filled: whether it was the last."""
        with self.lock:
            self.pieces -= 1
            return self.pieces == 0

    def fill(self, position: int, pixels: Pixels, noise: NDArray[np.float32]) -> None:
        """While the pixels are in the cache: a batch at a time, the same would cost three times as much."""
        if not isinstance(self.images, Tensor):
            self.images[position] = torch.empty(
                pixels.shape, dtype=torch.float32 if self.on_cpu else torch.uint8
            )
        if self.on_cpu:
            normalise_into(self.images[position], pixels, noise, self.normal)
        else:
            self.images[position].numpy()[:] = pixels
            self.noise.numpy()[position] = noise

    def sound(self) -> tuple[Images, Tensor, list[int]]:
        """Images (N, 3, H, W) or N times (3, H, W), their noise and indices; broken ones are left out."""
        images, noise, indices = self.images, self.noise, self.indices
        if self.broken:
            positions = [position for position in range(len(indices)) if position not in self.broken]
            noise, indices = noise[positions], [indices[position] for position in positions]
            images = (
                images[positions]
                if isinstance(images, Tensor)
                else [images[position] for position in positions]
            )
        if isinstance(images, Tensor):
            return images.permute(0, 3, 1, 2), noise, indices
        return [image.permute(2, 0, 1) for image in images], noise, indices


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
        self._memory = Reused()
        self.left_out: list[int] = []  # indices of the broken images of the running or last iteration

    def batches(self, epoch: int, indices: Iterator[Tensor]) -> Iterator[Batch]:
        self.left_out, first_broken = [], ""
        upcoming = self.files.ahead(self.chosen[batch] for batch in indices)
        own_threads = torch.get_num_threads()
        # Our threads are parallel already: torch gets one within each of them, and its own again afterwards.
        pool = ThreadPoolExecutor(
            self.workers or threads_of_this_process(), "decode", torch.set_num_threads, (1,)
        )
        batch = None
        try:
            ahead = deque(self._start(pool, epoch, batch) for batch in islice(upcoming, AHEAD))
            while ahead:
                making = ahead.popleft()
                batch = self._transformed(epoch, making.batch.result())
                ahead.extend(self._start(pool, epoch, batch) for batch in islice(upcoming, 1))
                if making.broken:
                    self.left_out += [making.indices[position] for position in making.broken]
                    first_broken = first_broken or making.broken[min(making.broken)]
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
    def _start(self, pool: ThreadPoolExecutor, epoch: int, indices: Tensor) -> _Making:
        count, on_cpu = len(indices), self.device.type == "cpu" and self.transform is None
        images: Images = [torch.empty(0)] * count
        if self.size is not None:
            shape = (count, self.size, self.size, 3)
            if on_cpu:
                images = self._memory.take(shape, np.float32)
            else:
                images = torch.empty(shape, dtype=torch.uint8, pin_memory=self.device.type == "cuda")
        pieces = math.ceil(count / PIECE)
        making = _Making(indices.tolist(), images, torch.zeros(count, 3), on_cpu, self.normal, pieces)
        for first in range(0, count, PIECE):
            pool.submit(self._fill, making, epoch, range(first, min(first + PIECE, count)))
        return making

    def _fill(self, making: _Making, epoch: int, positions: range) -> None:
        """Whoever fills the last piece finishes the batch, so that no thread waits for another."""
        try:
            for position in positions:
                index = making.indices[position]
                try:
                    making.fill(position, *self.view(self.files.read(index), epoch, index))
                except BrokenImage as error:
                    making.broken[position] = printable(f"{self.files.where(index)}: {error}")
            if making.is_whole():
                making.batch.set_result(self._finished(making))
        except BaseException as error:
            with suppress(InvalidStateError):  # another piece reported its own
                making.batch.set_exception(error)

    def _transformed(self, epoch: int, found: Any) -> Batch:
        """The batch, transformed in the thread that asks for it."""
        if self.transform is None:
            return found
        images, noise, indices = found
        images = self.transform(images, epoch, indices)
        return normalised(images, noise, self.device, self.normal), sent(
            self.files.labels[indices], self.device
        )

    def _finished(self, making: _Making) -> Any:
        if making.broken and self.on_error != "skip":
            first = making.broken[min(making.broken)]
            raise UserError(f"broken image {first} (data.on_error=skip would leave it out)")
        images, noise, indices = making.sound()
        if not indices:
            raise UserError(f"every image of a batch is broken, for example {making.broken[0]}")
        if self.transform is not None:
            return images, noise, indices
        if self.device.type != "cpu":
            if isinstance(images, Tensor):
                images = normalised(images, noise, self.device, self.normal)
            else:
                each = zip(images, noise, strict=True)
                images = [
                    normalised(image[None], drawn[None], self.device, self.normal)[0] for image, drawn in each
                ]
        return images, sent(self.files.labels[indices], self.device)


class Reused:
    """Memory of batches on the CPU, taken again when nobody holds what was made of it.

    The first touch of a page may cost more than what is written to it: of a batch of images at 224 a fifth of all the
    work, decoding included. New memory comes from NumPy, which asks for huge pages.
    """

    def __init__(self) -> None:
        self._free: list[NDArray[np.uint8]] = []

    def take(self, shape: tuple[int, ...], dtype: type[np.generic]) -> Tensor:
        """A tensor of any values."""
        count = math.prod(shape) * np.dtype(dtype).itemsize
        memory = self._free.pop() if self._free else np.empty(count, np.uint8)
        if len(memory) < count:
            memory = np.empty(count, np.uint8)
        array = memory[:count].view(dtype).reshape(shape)
        # The tensor's storage holds the array, whoever holds the storage.
        finalize(array, self._free.append, memory).atexit = False
        return torch.from_numpy(array)


def sent(values: Tensor, device: torch.device) -> Tensor:
    """The values on the device; nobody waits for a copy to a GPU, since it is from memory that does not move."""
    if device.type == "cuda" and not values.is_pinned():
        values = values.pin_memory()
    return values.to(device, non_blocking=True)


def normalise_into(
    out: Tensor, pixels: Pixels, noise: NDArray[np.float32], normal: Normal = IMAGENET
) -> None:
    """Pixels (H, W, 3) in [0, 1], plus noise (3,), less the mean, over std, into float32 `out` (H, W, 3) on the CPU.

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
    """What a row of 3W values is multiplied with; mean and std; what is added to the row where there is no noise."""
    mean, std = map(torch.tensor, normal)
    scale, shift = (1 / (255 * std)).repeat(width), (-mean / std).repeat(width)
    return scale.to(device), mean.to(device), std.to(device), shift.to(device)
