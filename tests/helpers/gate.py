"""A callback that holds a run within its training, so that a test disturbs it there and nowhere else."""

import signal
import time
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Callback


class Gate(Callback):
    """Holds each process of the run once, from a step on: until the test opens the gate, or SIGUSR2 has come.

    SIGTERM alone changes nothing: a job that is requeued or cancelled goes on until it is killed.
    """

    def __init__(self, folder: str, step: int) -> None:
        self._folder, self._step, self._held = Path(folder), step, False

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        if self._held or trainer.global_step < self._step:
            return
        self._held = True
        # A run hands a signal back to who handled it before when it has come.
        before = signal.getsignal(signal.SIGUSR2)
        (self._folder / "held").touch()
        while not (self._folder / "open").exists() and signal.getsignal(signal.SIGUSR2) == before:
            time.sleep(0.05)

    def state_dict(self) -> dict[str, Any]:
        return {}
