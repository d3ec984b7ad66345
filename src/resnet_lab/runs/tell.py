"""Trackers get an epoch once a checkpoint has it: what was sent is never taken back."""

# ruff: noqa: ARG002 (Lightning names the arguments of its hooks)

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, Checkpoint

from resnet_lab.config.schema import TrainConfig
from resnet_lab.extras import registered
from resnet_lab.runs.facts import Facts, facts_of
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.record import Record
from resnet_lab.runs.signals import Interrupted


class Tell(Checkpoint):
    """To be listed after `Checkpoints`: Lightning calls these in order."""

    def __init__(self, reached: Callable[[int], None]) -> None:
        self._reached = reached

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._reached(trainer.global_step)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._reached(trainer.global_step)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if isinstance(exception, Interrupted):  # which is raised once a checkpoint is written
            self._reached(trainer.global_step)


@dataclass
class Told:
    """What trackers get of a run: the record, to be replaced by what training found, and callbacks."""

    record: Record
    callbacks: list[Callback] = field(default_factory=list)


@contextmanager
def trackers(config: TrainConfig, folder: RunFolder, record: Record, *, first: bool) -> Iterator[Told]:
    """Tell trackers of a run while it trains, and of its record at the end; only the first process tells."""
    told = Told(record)
    if not first:
        yield told
        return

    def facts() -> Facts:
        return facts_of(config, told.record, folder.path, socket.gethostname())

    with ExitStack() as until_the_end:
        for telling in registered("during a run").values():
            reached = until_the_end.enter_context(telling(config.logger, folder.path, facts))
            if reached is not None:
                told.callbacks.append(Tell(reached))
        yield told
