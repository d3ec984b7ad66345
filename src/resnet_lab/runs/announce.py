"""Announce a run while it trains: to extras, how far it is certain; to its user, that it starts to fail."""

# ruff: noqa: ARG002 (Lightning names the arguments of its hooks)

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, Checkpoint

from resnet_lab.config.schema import TrainConfig
from resnet_lab.extras import registered
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.history import read_columns
from resnet_lab.runs.progress import sign_of_disk, sign_of_losses
from resnet_lab.runs.record import Record
from resnet_lab.runs.signals import Interrupted

log = logging.getLogger(__name__)


class Tell(Checkpoint):
    """Passes on the iteration of each checkpoint: an epoch that was sent is never taken back.

    To be listed after `Checkpoints`: Lightning calls these in order.
    """

    def __init__(self, reached: Callable[[int], None]) -> None:
        self._reached = reached

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._reached(trainer.global_step)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._reached(trainer.global_step)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if isinstance(exception, Interrupted):  # which is raised once a checkpoint is written
            self._reached(trainer.global_step)


class Watch(Checkpoint):
    """Prints and logs each sign that the run fails, once. To be listed after `History`."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._said: set[str] = set()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._say("disk", sign_of_disk(self._folder.path))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if "train/loss" in trainer.callback_metrics:  # a module of the user's need not log it
            losses = read_columns(self._folder.history_file).get("train/loss", [])
            self._say("loss", sign_of_losses(losses))
        self._say("disk", sign_of_disk(self._folder.path))

    def _say(self, kind: str, sign: str) -> None:
        if sign and kind not in self._said:
            self._said.add(kind)
            log.warning(sign)
            print(f"{self._folder.path}: {sign}", flush=True)


@dataclass
class Announced:
    """The record of a run that extras get, to be replaced by what training found, and their callbacks."""

    record: Record
    callbacks: list[Callback] = field(default_factory=list)


@contextmanager
def announced(config: TrainConfig, folder: RunFolder, record: Record, *, first: bool) -> Iterator[Announced]:
    """Announce a run to extras while it trains, and its record at the end; only the first process does."""
    run = Announced(record)
    with ExitStack() as until_the_end:
        for extra in registered("during a run").values() if first else ():
            reached = until_the_end.enter_context(extra(config, folder.path, lambda: run.record))
            if reached is not None:
                run.callbacks.append(Tell(reached))
        yield run
