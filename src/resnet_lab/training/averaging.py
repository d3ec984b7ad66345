"""The exponential moving average of weights that is tested and kept in place of the last weights."""

from typing import Any

from lightning.pytorch.callbacks import WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn


class MovingAverage(WeightAveraging):
    """Averages weights and batch norm statistics step by step; a checkpoint's `state_dict` is the average."""

    def __init__(self, decay: float) -> None:
        super().__init__(multi_avg_fn=get_ema_multi_avg_fn(decay))

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(trainer, pl_module, checkpoint)
        if trainer.validating and self._average_model is not None:  # the two have changed places
            checkpoint |= {
                "state_dict": checkpoint["current_model_state"],
                "current_model_state": checkpoint["state_dict"],
            }

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        # A run resumed after its last iteration trains no more, so that Lightning's own hand-over, at the
        # end of training, never comes.
        if self._average_model is not None:
            self._copy_average_to_current(pl_module)
