"""A run that starts to fail says so, once for each reason, in its output and in log.txt."""

# ruff: noqa: ARG002 (Lightning names the arguments of its hooks)

import logging

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.history import read_columns
from resnet_lab.runs.signs import of_disk, of_losses

log = logging.getLogger(__name__)


class Watch(Checkpoint):
    """To be listed after `History`; only the first process watches. Has no state: what matters lies in the folder."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._told: set[str] = set()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._tell("disk", of_disk(self._folder.path))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if "train/loss" in trainer.callback_metrics:  # a module of one's own need not log it
            self._tell("loss", of_losses(read_columns(self._folder.history_file).get("train/loss", [])))
        self._tell("disk", of_disk(self._folder.path))

    def _tell(self, what: str, sign: str) -> None:
        if sign and what not in self._told:
            self._told.add(what)
            log.warning(sign)
            print(f"{self._folder.path}: {sign}", flush=True)
