"""Batches of a data set of somebody's own, by processes or in this one.

Which images a batch holds and what is drawn for each is fixed before anything is read, so that the number of processes
changes nothing.
"""

import ctypes
import signal
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from resnet_lab.cores import share
from resnet_lab.data.order import Batch, EvalOrder, TrainLoader, TrainOrder
from resnet_lab.data.own.images import OwnImages, Read, Wanted
from resnet_lab.data.own.making import drawn
from resnet_lab.errors import UserError

PR_SET_PDEATHSIG = 1  # prctl(2): the signal that a process gets when its parent ends

Finish = Callable[[Tensor], Tensor]  # images (N, C, H, W) to what a net takes, on its device


def processes(workers: int | None) -> int:
    """How many read beside a run: as many as asked for, or as the cores of its slot; of one core none."""
    if workers is not None:
        return workers
    return share() if share() > 1 else 0


class Reader:
    """Reads batches; the processes live as long as it does, and are asked for one iteration at a time."""

    def __init__(self, images: OwnImages, chosen: Tensor, workers: int, finish: Finish) -> None:
        self.images, self.chosen, self.finish = images, chosen, finish
        self.workers = workers
        self._plan = _Plan()
        self._loader: DataLoader[Any] | None = None

    def batches(self, drawn_for: str, indices: Iterator[Tensor]) -> Iterator[Batch]:
        """What a net takes, and labels; `indices` count within the chosen images. Raises UserError."""
        chosen = self.chosen
        self._plan.batches = ([(drawn_for, int(index)) for index in chosen[batch]] for batch in indices)
        for batch in self._read():
            if isinstance(batch, UserError):
                raise batch
            images, labels = batch
            yield self.finish(images), labels

    def _read(self) -> Iterator[Read | UserError]:
        if not self.workers:
            for wanted in self._plan:
                with drawn():
                    batch = self.images.__getitems__(wanted)
                yield batch
            return
        if self._loader is None:
            self._loader = DataLoader(
                self.images,  # type: ignore[arg-type]  # any object of indices will do
                batch_sampler=self._plan,
                num_workers=self.workers,
                collate_fn=_as_it_is,
                persistent_workers=True,
                worker_init_fn=_end_with_parent,
                generator=torch.Generator(),  # whatever it draws, it draws for nobody
            )
            # The collector would close the queues of a loader in a cycle before its processes are told to end, and
            # wait 5 s for each of them: so it never finds the loader, which goes when the reader has gone.
            weakref.finalize(self, _let_go, self._loader).atexit = False
        yield from self._loader


class _Plan:
    """The batches of one iteration after the other."""

    batches: Iterator[list[Wanted]] = iter(())

    def __iter__(self) -> Iterator[list[Wanted]]:
        return self.batches


class OwnTrainLoader(TrainLoader):
    """The training batches of each epoch."""

    def __init__(self, order: TrainOrder, reader: Reader) -> None:
        super().__init__(order)
        self.reader = reader

    def load(self, epoch: int, indices: Iterator[Tensor]) -> Iterator[Batch]:
        return self.reader.batches(f"{self.order.seed}/{epoch}", indices)


class OwnEvalLoader:
    """Each image once; what is drawn for it is the same in every run."""

    def __init__(self, order: EvalOrder, reader: Reader) -> None:
        self.order, self.reader = order, reader

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[Batch]:
        return self.reader.batches("evaluation", self.order.batches())


def _let_go(_: Any) -> None:
    """The last reference."""


def _as_it_is(batch: Any) -> Any:
    return batch


def _end_with_parent(_: int) -> None:
    """A reader that outlived its run would hold the run's lock; signals are the run's to act on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
