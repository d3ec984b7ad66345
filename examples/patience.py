"""A callback: resnet-lab train data.validation=300 'callbacks.extra.stop={_target_: examples.patience.Stop}'"""

from typing import Any

from lightning import Trainer
from lightning.pytorch.callbacks import Callback


class Stop(Callback):
    """Ends training once `monitor` (per cent) has been at most `target` at so many evaluations in a row."""

    def __init__(self, target: float = 5.0, times: int = 2, monitor: str = "val/error") -> None:
        self.target, self.times, self.monitor = target, times, monitor
        self.reached = 0

    def on_validation_end(self, trainer: Trainer, *_: Any) -> None:
        good = bool(trainer.callback_metrics[self.monitor] <= self.target)
        self.reached = self.reached + 1 if good else 0
        trainer.should_stop = trainer.should_stop or self.reached >= self.times

    def state_dict(self) -> dict[str, Any]:
        return {"reached": self.reached}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.reached = state_dict["reached"]
