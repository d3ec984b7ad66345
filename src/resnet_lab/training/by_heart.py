"""debug=overfit: a net that cannot learn one batch by heart has a fault, and no schedule will mend it."""

from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint


class NotByHeart(Exception):
    """The net still errs on the one batch that it was trained on."""


class ByHeart(Checkpoint):
    """Ends training once the training error is 0 %; NotByHeart where it ends without.

    A `Checkpoint`, because Lightning calls those alone after the module has logged its epoch.
    """

    def __init__(self) -> None:
        self._error = 100.0

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        self._error = float(trainer.callback_metrics["train/error"])
        if self._error == 0:
            trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        if self._error > 0:
            raise NotByHeart(
                f"one batch is not learnt by heart: train error {self._error:.2f} % after {trainer.global_step}"
                " iterations; look at recipe.lr, the labels and the net"
            )

    def state_dict(self) -> dict[str, Any]:
        return {"error": self._error}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._error = state_dict["error"]
