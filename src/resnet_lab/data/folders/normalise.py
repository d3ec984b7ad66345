"""uint8 pixels to what a net takes: on the CPU each picture while it is in the cache, on a device a batch at a time."""

import math
from functools import cache
from weakref import finalize

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resnet_lab.data.decode import Pixels
from resnet_lab.data.folders.augment import MEAN, STD
from resnet_lab.data.order import CPU


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


def normalise_into(out: Tensor, pixels: Pixels, noise: NDArray[np.float32]) -> None:
    """Pixels (H, W, 3) in [0, 1], plus noise (3,), less MEAN, over STD, into float32 `out` (H, W, 3) on the CPU.

    Works on rows of 3W values: broadcasting over a last axis of three takes a CPU twice as long.
    """
    width = pixels.shape[1]
    scale, mean, std, shift = _row(width, CPU)
    if noise.any():
        shift = ((torch.from_numpy(noise) - mean) / std).repeat(width)
    out.view(-1, 3 * width).copy_(torch.from_numpy(pixels).reshape(-1, 3 * width)).mul_(scale).add_(shift)


def normalised(images: Tensor, noise: Tensor, device: torch.device) -> Tensor:
    """The same of uint8 images (N, 3, H, W), channels-last, and noise (N, 3), by a device that is not the CPU."""
    pixels = sent(images, device).permute(0, 2, 3, 1)
    width = pixels.shape[2]
    scale, mean, std, _ = _row(width, device)
    shift = ((sent(noise, device) - mean) / std).repeat(1, width)[:, None]
    rows = pixels.flatten(2) * scale
    return rows.add_(shift).view(pixels.shape).permute(0, 3, 1, 2)


@cache
def _row(width: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What a row of 3W values is multiplied with; MEAN and STD; what is added to the row where there is no noise."""
    mean, std = torch.tensor(MEAN), torch.tensor(STD)
    scale, shift = (1 / (255 * std)).repeat(width), (-mean / std).repeat(width)
    return scale.to(device), mean.to(device), std.to(device), shift.to(device)
