"""End a run that is worse than earlier ones were after as many epochs: the median stopping rule of a search."""

# ruff: noqa: ARG002 (Lightning names the arguments of its hooks)

from collections.abc import Sequence
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from resnet_lab.errors import NamedFailure


class Pruned(NamedFailure):
    """The run is worse than the median of earlier runs; its last checkpoint is there to go on from."""

    kind = "pruned"


class MedianStop(Callback):
    """Raise Pruned at the end of the first epoch whose best figure so far is worse than the median given for it.

    The median stopping rule (Golovin et al., 2017, section 3.2.2) with medians that are fixed when the run begins, so
    that a run that is killed and resumed stops where it would have.
    """

    def __init__(self, monitor: str, mode: str, medians: Sequence[float | None]) -> None:
        """`medians`: of `monitor` after each epoch, from the first; None where any figure will do."""
        self.monitor, self._sign, self._medians = monitor, 1 if mode == "min" else -1, list(medians)
        self._best: float | None = None
        self._reason = ""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.monitor not in trainer.callback_metrics:
            return
        now, epoch = float(trainer.callback_metrics[self.monitor]), trainer.current_epoch
        if self._best is None or self._sign * now < self._sign * self._best:
            self._best = now
        median = self._medians[epoch] if epoch < len(self._medians) else None
        if median is not None and self._sign * self._best > self._sign * median:
            self._reason = (
                f"{self.monitor} was {self._best:.4g} at best after epoch {epoch + 1}, and the median of earlier"
                f" trials {median:.4g}; train it without the search to go on"
            )

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._reason:  # said now, when the checkpoint of the epoch is written; never after the last one
            raise Pruned(self._reason)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self._best, "reason": self._reason}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._best, self._reason = state_dict["best"], state_dict["reason"]
