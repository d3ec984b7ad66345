"""Choose images, their order, device and random numbers, all as functions of (seed, epoch, index).

Nothing here depends on the number of workers or devices, on what ran before, or on where training resumed.
"""

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Protocol

import numpy as np
import torch
from lightning.pytorch.utilities.data import extract_batch_size
from torch import Tensor

from resnet_lab.data.spec import DataConfig, check_batches
from resnet_lab.errors import UserError
from resnet_lab.targets import called, instance

CPU = torch.device("cpu")
SPLIT_SEED = 0  # which images are set aside belongs to the data set, not to the run

# Images (N, C, H, W) as a net takes them, or a list of (C, H, W) where their sizes differ; and their labels (N,).
Batch = tuple[Any, Tensor]


def images_in(batch: Any) -> int:
    """Return the number of images of a batch: its labels', or the length of its first tensor."""
    if isinstance(batch, tuple | list) and len(batch) == 2 and isinstance(batch[1], Tensor):
        return len(batch[1])
    return extract_batch_size(batch)


def generator(seed: int, epoch: int, purpose: str) -> torch.Generator:
    """Return a generator for one epoch and one purpose, on the CPU so that every device gets the same numbers."""
    return torch.Generator().manual_seed(_number(f"{purpose}/{seed}/{epoch}"))


def sample_random(seed: int, epoch: int, index: int) -> random.Random:
    """Return the generator of one image in one epoch: the same in any thread, process or device."""
    return random.Random(f"{seed}/{epoch}/{index}")


def draw(purpose: str) -> None:
    """Seed the global generators of Python, NumPy and torch (on the CPU) by the purpose alone."""
    number = _number(purpose)
    random.seed(number)
    np.random.seed(number % 2**32)  # noqa: NPY002 (the generator that data sets draw from)
    torch.default_generator.manual_seed(number)


def _number(purpose: str) -> int:
    return int.from_bytes(blake2b(purpose.encode(), digest_size=8).digest(), "big")


@contextmanager
def drawn(purpose: str | None = None) -> Iterator[None]:
    """Seed the global generators inside the context, and restore them afterwards."""
    legacy = np.random.get_state()  # noqa: NPY002
    before, default = random.getstate(), torch.default_generator.get_state()
    try:
        if purpose is not None:
            draw(purpose)
        yield
    finally:
        random.setstate(before)
        np.random.set_state(legacy)  # noqa: NPY002
        torch.default_generator.set_state(default)


class Transform:
    """Your own transform of training images; what it draws is a function of (seed, epoch, index)."""

    def __init__(self, spec: Mapping[str, Any], seed: int = 0) -> None:
        self.name, self.seed = f"data.transform._target_={spec.get('_target_')}", seed
        self.function = instance(spec, "data.transform")

    def __call__(self, images: Tensor, epoch: int, indices: Sequence[int]) -> Tensor:
        """Transform uint8 images (N, C, H, W). Raises UserError where it returns anything else.

        It runs in the training process, not in threads: the generators that it draws from are global.
        """
        found = []
        with drawn():
            for image, index in zip(images, indices, strict=True):
                draw(f"{self.seed}/{epoch}/{index}")
                seen = called(self.name, self.function, image)
                kind = (
                    f"{seen.dtype} {tuple(seen.shape)}" if isinstance(seen, Tensor) else type(seen).__name__
                )
                if kind != (same := f"{torch.uint8} {tuple(image.shape)}"):
                    raise UserError(f"{self.name} makes {kind} of an image of {same}: the same is needed")
                found.append(seen.as_subclass(Tensor))
        return torch.stack(found)


def rank_and_world() -> tuple[int, int]:
    """Return rank and world size of this process; (0, 1) where nothing is distributed."""
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
        """Return every index once: int64 (images,)."""
        return torch.randperm(self.images, generator=generator(self.seed, epoch, "order"))

    def batches(self, epoch: int, start: int = 0, device: torch.device = CPU) -> Iterator[Tensor]:
        """Yield this rank's share of each batch from number `start` on: int64, sent to the device once per epoch."""
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
        return -(-len(self.places) // self.batch_size)

    @property
    def places(self) -> range:
        """Return the places of this rank's images among all."""
        return range(self.rank, self.images, self.world)

    def batches(self, epoch: int = 0, start: int = 0, device: torch.device = CPU) -> Iterator[Tensor]:  # noqa: ARG002
        """Yield int64 indices on the device, in order, from batch number `start` on; every epoch has the same."""
        every = torch.arange(self.rank, self.images, self.world, device=device)
        yield from every.split(self.batch_size)[start:]


class BatchOrder(Protocol):
    """The batches of an epoch, as indices."""

    def __len__(self) -> int: ...

    def batches(self, epoch: int, start: int, device: torch.device) -> Iterator[Tensor]: ...


class Reader(ABC):
    """Turns indices, which count within the chosen images, into batches; it may read ahead."""

    index_device: torch.device = CPU  # where it takes its indices
    left_out: Sequence[int] = ()  # broken images of the running or last iteration, as indices of their part

    @abstractmethod
    def batches(self, epoch: int, indices: Iterator[Tensor]) -> Iterator[Batch]:
        """Yield the batch of each tensor of indices; what is drawn for an image is drawn for this epoch."""


class Loader:
    """The batches of an order, as a reader makes them: those of an evaluation."""

    def __init__(self, order: BatchOrder, reader: Reader) -> None:
        self.order, self.reader = order, reader

    def __len__(self) -> int:
        """Return the number of batches of a whole epoch, wherever this one was resumed."""
        return len(self.order)

    def __iter__(self) -> Iterator[Batch]:
        return self.batches(0, 0)

    def batches(self, epoch: int, start: int) -> Iterator[Batch]:
        """Yield the batches of an epoch from number `start` on."""
        return self.reader.batches(epoch, self.order.batches(epoch, start, self.reader.index_device))


class TrainLoader(Loader):
    """The training batches of one epoch after the other; an epoch can be stopped and resumed after any batch.

    Lightning calls `set_epoch` through `sampler`, and saves and restores the position through the state dict.
    """

    def __init__(self, order: BatchOrder, reader: Reader) -> None:
        super().__init__(order, reader)
        self.epoch = 0
        self._start = 0  # the first batch of the next iteration
        self._given = 0  # batches of this epoch that were handed out

    def __iter__(self) -> Iterator[Batch]:
        # A generator, so that epoch and position are read at the first batch: Lightning makes its iterator
        # before it calls set_epoch.
        self._given, self._start = self._start, 0
        for batch in self.batches(self.epoch, self._given):
            self._given += 1
            yield batch

    @property
    def sampler(self) -> "TrainLoader":
        """Where Lightning looks for `set_epoch`."""
        return self

    def set_epoch(self, epoch: int) -> None:
        if epoch != self.epoch:
            self.epoch, self._start, self._given = epoch, 0, 0

    def state_dict(self) -> dict[str, object]:
        return {"epoch": self.epoch, "batch": self._given}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch = state["epoch"]
        self._start = self._given = state["batch"]


def in_proportion(labels: Tensor, count: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw indices of `count` images so that each class keeps its share; return them and the others, both sorted."""
    mixed = _by_class(labels, random)
    sizes = labels.bincount()
    # Of an image within its class.
    within = torch.arange(len(labels)) - (sizes.cumsum(0) - sizes)[labels[mixed]]
    chosen = ((within + 0.5) / sizes[labels[mixed]]).argsort(stable=True)
    return mixed[chosen[:count]].sort().values, mixed[chosen[count:]].sort().values


def folded(labels: Tensor, fold: int, folds: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return indices of one of `folds` parts, each with every class's share, and of the others; both sorted."""
    mixed, inside = _by_class(labels, random), torch.arange(len(labels)) % folds == fold
    return mixed[inside].sort().values, mixed[~inside].sort().values


def _by_class(labels: Tensor, random: torch.Generator) -> Tensor:
    """Return every index, sorted by class and at random within it."""
    mixed = torch.randperm(len(labels), generator=random)
    return mixed[labels[mixed].argsort(stable=True)]


def shared_out(
    config: DataConfig, counts: Mapping[str, int], labels: Mapping[str, Tensor], *, published: bool = False
) -> dict[str, tuple[str, Tensor]]:
    """Choose the images that train, validate and test: for each, the part that they come from and indices in it.

    `counts` are the images of each part, and `labels` theirs (N,) int64 where they are known: then each choice keeps
    every class's share. Without a test part, `config.test_share` of the training images is tested on; with
    `config.fold` one of `config.folds` parts of them. `published` sets were split before choices kept shares: their
    validation images are drawn at random.
    """

    def take(key: str, part: str, among: Tensor, count: int) -> tuple[Tensor, Tensor]:
        assert count <= len(among)  # checked before: see `Source.training_images`
        known = None if published and key == "validation" else labels.get(part)
        classes = torch.zeros_like(among) if known is None else known[among]
        random = generator(SPLIT_SEED, 0, key.replace("_", " ") if published else key)
        chosen, others = in_proportion(classes, count, random)
        return among[chosen], among[others]

    rest = torch.arange(counts["train"])
    splits: dict[str, tuple[str, Tensor]] = {}
    if config.fold is not None:
        classes, random = labels.get("train", torch.zeros_like(rest)), generator(SPLIT_SEED, 0, "fold")
        test, (tested, rest) = "train", folded(classes, config.fold, config.folds, random)
    elif "test" in counts:
        test, tested = "test", torch.arange(counts["test"])
    else:
        share = round(getattr(config, "test_share", 0) * len(rest))
        test, (tested, rest) = "train", take("test_share", "train", rest, share)
    if "val" in counts:
        splits["val"] = "val", torch.arange(counts["val"])
    elif config.validation:
        aside, rest = take("validation", "train", rest, config.validation)
        splits["val"] = "train", aside
    if config.train_images is not None:
        rest, _ = take("train_images", "train", rest, config.train_images)
    if config.test_images is not None:
        tested, _ = take("test_images", test, tested, config.test_images)
    return {"train": ("train", rest), **splits, "test": (test, tested)}
