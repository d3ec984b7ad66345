"""Which image comes when, on which device, and with what chance: functions of (seed, epoch, index) only.

Nothing here depends on the number of workers or devices, on what ran before, or on where training resumed.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import torch
from torch import Tensor

from resnet_lab.data.spec import check_batches
from resnet_lab.errors import UserError

CPU = torch.device("cpu")

# Images (N, C, H, W) as a net takes them, or a list of (C, H, W) where their sizes differ; and their labels (N,).
Batch = tuple[Any, Tensor]


def generator(seed: int, epoch: int, purpose: str) -> torch.Generator:
    """A generator for one epoch and one purpose, on the CPU so that every device gets the same numbers."""
    digest = blake2b(f"{purpose}/{seed}/{epoch}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big"))


def sample_random(seed: int, epoch: int, index: int) -> random.Random:
    """The random numbers of one image in one epoch: the same in any thread, process or device."""
    return random.Random(f"{seed}/{epoch}/{index}")


def rank_and_world() -> tuple[int, int]:
    """(rank, world size) of this process; (0, 1) where nothing is distributed."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


@dataclass(frozen=True)
class TrainOrder:
    """The training batches of every epoch; `batch_size` counts the images of all devices together.

    Raises UserError where an epoch has no full batch, or a batch has too few images for the devices.
    """

    images: int
    batch_size: int
    drop_last: bool
    seed: int
    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        check_batches(self.images, self.batch_size, drop_last=self.drop_last, world=self.world)

    def __len__(self) -> int:
        return self.images // self.batch_size if self.drop_last else -(-self.images // self.batch_size)

    def shuffled(self, epoch: int) -> Tensor:
        """Every index once: int64 (images,)."""
        return torch.randperm(self.images, generator=generator(self.seed, epoch, "order"))

    def batches(self, epoch: int, start: int = 0, device: torch.device = CPU) -> Iterator[Tensor]:
        """This rank's share of each batch from number `start` on: int64 indices, sent to the device once an epoch."""
        shuffled = self.shuffled(epoch).to(device)
        for batch in range(start, len(self)):
            whole = shuffled[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield whole[self.rank :: self.world]


@dataclass(frozen=True)
class EvalOrder:
    """This rank's share of an evaluation: every world-th image, so that each image is seen exactly once.

    Raises UserError where there are fewer images than devices.
    """

    images: int
    batch_size: int  # of this rank
    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        if self.images < self.world:
            raise UserError(f"{self.images} images cannot be evaluated on {self.world} devices")

    def __len__(self) -> int:
        return -(-len(range(self.rank, self.images, self.world)) // self.batch_size)

    def batches(self, device: torch.device = CPU) -> Iterator[Tensor]:
        """int64 indices on the device, in order."""
        yield from torch.arange(self.rank, self.images, self.world, device=device).split(self.batch_size)


class Resumable:
    """Iterates over one epoch's batches, and can be stopped and taken up again after any of them.

    A subclass says in `batches` what an epoch has; it may read ahead as far as it likes. Lightning calls `set_epoch`
    through `sampler`, and saves and restores the position through the state dict.
    """

    def __init__(self) -> None:
        self.epoch = 0
        self._start = 0  # the first batch of the next iteration
        self._given = 0  # batches of this epoch that were handed out

    def batches(self, epoch: int, start: int) -> Iterator[Batch]:
        """Those of an epoch from number `start` on."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[Batch]:
        # A generator, so that epoch and position are read at the first batch: Lightning makes its iterator
        # before it calls set_epoch.
        self._given, self._start = self._start, 0
        for batch in self.batches(self.epoch, self._given):
            self._given += 1
            yield batch

    @property
    def sampler(self) -> "Resumable":
        """Where Lightning looks for `set_epoch`."""
        return self

    def set_epoch(self, epoch: int) -> None:
        if epoch != self.epoch:
            self.epoch, self._start, self._given = epoch, 0, 0

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "batch": self._given}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch = state["epoch"]
        self._start = self._given = state["batch"]


class TrainLoader(Resumable):
    """The batches of a `TrainOrder`; a subclass says in `load` how indices become a batch."""

    def __init__(self, order: TrainOrder, device: torch.device = CPU) -> None:
        """`device`: where `load` gets its indices."""
        super().__init__()
        self.order, self.device = order, device

    def load(self, epoch: int, indices: Iterator[Tensor]) -> Iterator[Batch]:
        raise NotImplementedError

    def __len__(self) -> int:
        """Batches of a whole epoch, wherever this one was taken up."""
        return len(self.order)

    def batches(self, epoch: int, start: int) -> Iterator[Batch]:
        return self.load(epoch, self.order.batches(epoch, start, self.device))
