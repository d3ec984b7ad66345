"""debug=overfit: a net that cannot learn one batch by heart has a fault, and no schedule will mend it."""

from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from resnet_lab.errors import NamedFailure


class NotByHeart(NamedFailure):
    """The net still errs on the one batch that it was trained on."""

    kind = "not_by_heart"


class ByHeart(Checkpoint):
    """Ends training once the training error is 0 %; NotByHeart where it ends without.

    If a module of the user's logs no train/error, its train/loss must fall to a tenth of what it was at first. A
    `Checkpoint`, because Lightning calls those alone after the module has logged its epoch.
    """

    def __init__(self) -> None:
        self._error = 100.0
        self._first_loss: float | None = None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        logged = trainer.callback_metrics
        if "train/error" in logged:
            self._error = float(logged["train/error"])
        elif "train/loss" in logged:
            loss = float(logged["train/loss"])
            self._first_loss = loss if self._first_loss is None else self._first_loss
            self._error = 0.0 if loss <= self._first_loss / 10 else 100.0
        else:
            raise NotByHeart("debug=overfit looks at train/error or train/loss, and the module logs neither")
        if self._error == 0:
            trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        if self._error > 0 and self._first_loss is not None:
            raise NotByHeart(
                f"one batch is not learnt by heart: train/loss began at {self._first_loss:.4g} and ended above a tenth"
                f" of it, after {trainer.global_step} iterations"
            )
        if self._error > 0:
            raise NotByHeart(
                f"one batch is not learnt by heart: train error {self._error:.2f} % after {trainer.global_step}"
                " iterations; look at recipe.lr, the labels and the net"
            )

    def state_dict(self) -> dict[str, object]:
        return {"error": self._error, "first_loss": self._first_loss}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._error, self._first_loss = state_dict["error"], state_dict.get("first_loss")
