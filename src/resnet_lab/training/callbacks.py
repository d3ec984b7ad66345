"""What a run tells while it trains: its history as a CSV file, and its progress on a terminal or in a log."""

# ruff: noqa: ARG002 (Lightning names the arguments of its hooks)

import math
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, Checkpoint, TQDMProgressBar

from resnet_lab.terminal import said
from resnet_lab.training.csv_file import CsvFile
from resnet_lab.training.run_logger import RunLogger

COLUMNS = (
    "epoch",  # counted from 1
    "iteration",  # optimiser steps done
    "lr",  # of the last step
    "train/loss",
    "train/error",  # per cent, as training ran
    "val/loss",
    "val/error",
    "test/loss",
    "test/error",
    "test/top5_error",
    "seconds",  # of the epoch, its evaluation included
)

OWN_COLUMNS = (
    "epoch",
    "iteration",
    "lr",
    "train/loss",
    "seconds",
)  # of a module of the user's, before what it logs

# What Lightning calls at each step, once for each callback.
STEP_HOOKS = (
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_train_batch_end",
    "on_validation_batch_start",
    "on_validation_batch_end",
)

HEARTBEAT = 60.0  # seconds without a line after which a log gets one within an epoch


class _EpochEnd(Checkpoint):
    """Called once the module has logged its epoch, which Lightning grants to `Checkpoint`s alone.

    Among them the order given to the Trainer holds: list these before `ModelCheckpoint`, so that no
    checkpoint is ever ahead of the history. Keeps the seconds of the epoch, also of one that was resumed.
    """

    def __init__(self) -> None:
        self._before = 0.0  # seconds that this epoch took before the run was resumed
        self._started = time.monotonic()
        self._evaluated: dict[str, float] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._started = time.monotonic() - self._before

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._evaluated = logged(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        now = time.monotonic()
        row: dict[str, float] = {
            **logged(trainer),
            **self._evaluated,
            "epoch": trainer.current_epoch + 1,
            "iteration": trainer.global_step,
            "lr": trainer.optimizers[0].param_groups[0]["lr"] if trainer.optimizers else math.nan,
            "seconds": now - self._started,
        }
        self._started, self._evaluated = now, {}
        if trainer.is_global_zero:
            self.on_row(row, trainer)

    def on_row(self, row: dict[str, float], trainer: Trainer) -> None:
        """One finished epoch; called on one process only."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, object]:
        return {"seconds": time.monotonic() - self._started}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._before = state_dict["seconds"]


class History(_EpochEnd):
    """`history.csv`: one row an epoch. A resumed run writes again what its checkpoint knows of it."""

    def __init__(
        self,
        path: Path,
        metrics: Sequence[str] = (),
        columns: Sequence[str] = COLUMNS,
        logger: RunLogger | None = None,
    ) -> None:
        """`metrics`: further columns of each evaluation, for example ``accuracy/cat``; what is logged adds others."""
        super().__init__()
        self._logger = logger or RunLogger()
        further = [f"{name}/{metric}" for name in ("val", "test") for metric in metrics]
        self._file = CsvFile(path, [*columns, *further])

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        state = checkpoint["callbacks"].get(self.state_key, {})
        self._file.restore(state, checkpoint["global_step"], write=trainer.is_global_zero)
        self._logger.of_epoch = dict(state.get("logged", {}))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        if trainer.is_global_zero:
            self._file.begin()

    def on_row(self, row: dict[str, float], trainer: Trainer) -> None:
        # Six digits: all that a mean in single precision holds, and a per-cent error of any test set.
        counts = {name: str(int(row[name])) for name in ("epoch", "iteration")}
        shown = {name: f"{value:.6g}" for name, value in (self._logger.of_epoch | row).items()}
        self._logger.of_epoch = {}
        self._file.append([shown | counts])

    def state_dict(self) -> dict[str, object]:
        return super().state_dict() | self._file.state() | {"logged": self._logger.of_epoch}


class Pace:
    """How long the rest of a run takes, at the pace since this process began it."""

    def __init__(self, trainer: Trainer) -> None:
        self._began, self._first = time.monotonic(), trainer.global_step

    def left(self, trainer: Trainer) -> str:
        """Return it in words; empty at the start and at the end."""
        done, rest = trainer.global_step - self._first, _iterations(trainer) - trainer.global_step
        return said((time.monotonic() - self._began) / done * rest) if done > 0 < rest else ""


class Lines(_EpochEnd):
    """A plain line an epoch, and one a minute within long epochs, for logs and pipes."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self._spoke, self._pace = time.monotonic(), Pace(trainer)

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.is_global_zero and time.monotonic() - self._spoke > HEARTBEAT:
            batch = trainer.fit_loop.batch_idx + 1
            self._say(f"{_place(trainer)}  batch {batch}/{trainer.num_training_batches}{self._left(trainer)}")

    def on_row(self, row: dict[str, float], trainer: Trainer) -> None:
        figures = [f"{name} {value:.2f}" for name, value in row.items() if name.endswith("/error")]
        figures = figures or [f"{name} {row[name]:.4g}" for name in row if name not in OWN_COLUMNS]
        self._say(
            f"{_place(trainer)}  lr {row['lr']:.4g}  {'  '.join(figures)}  {row['seconds']:.1f} s{self._left(trainer)}"
        )

    def _left(self, trainer: Trainer) -> str:
        """Return ``, about 3 min left``; nothing at the end."""
        left = self._pace.left(trainer)
        return f", about {left} left" if left else ""

    def _say(self, line: str) -> None:
        self._spoke = time.monotonic()
        print(line, flush=True)


class Bar(TQDMProgressBar):
    """A bar for people at a terminal: the epoch, counted from 1, of all, the errors, and the time left in all."""

    BAR_FORMAT = "{l_bar}{bar:10}| {n_fmt}/{total_fmt}{postfix}"  # its own time left is that of the epoch

    def __init__(self) -> None:
        super().__init__(refresh_rate=10)  # drawing costs more than a step of a small net

    def on_train_start(self, trainer: Trainer, *_: Any) -> None:
        super().on_train_start(trainer, *_)
        self._pace = Pace(trainer)

    def on_train_epoch_start(self, trainer: Trainer, *_: Any) -> None:
        super().on_train_epoch_start(trainer, *_)
        self.train_progress_bar.set_description(_epoch(trainer))

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        names = ("train/error", "val/error", "test/error")
        shown = {name: float(value) for name, value in trainer.callback_metrics.items() if name in names}
        left = self._pace.left(trainer)
        errors = {name.replace("/", " "): f"{value:.2f} %" for name, value in shown.items()}
        return ({"left": left} if left else {}) | (errors or trainer.progress_bar_metrics)


def progress() -> Callback:
    """Return a bar on a terminal, plain lines elsewhere."""
    return Bar() if sys.stdout.isatty() else Lines()


def silence(callbacks: Iterable[Callback]) -> None:
    """Take the hooks that do nothing away: a call that Lightning guards and times costs each step 5 us."""
    for callback in callbacks:
        for hook in STEP_HOOKS:
            if getattr(getattr(callback, hook), "__func__", None) is getattr(Callback, hook):
                setattr(callback, hook, None)


def logged(trainer: Trainer) -> dict[str, float]:
    """Return what the module and callbacks logged of this epoch, or of this evaluation, by name.

    Lightning's `callback_metrics` have earlier values, too, and those of a single step.
    """
    results = trainer._results
    assert results is not None
    return {name: float(value) for name, value in results.metrics(on_step=False)["log"].items()}


def _iterations(trainer: Trainer) -> int:
    """Return the iterations of the whole run; 0 if the module alone knows them."""
    return int(trainer.lightning_module.total_iterations)  # type: ignore[arg-type]


def _place(trainer: Trainer) -> str:
    total = _iterations(trainer)
    return f"{_epoch(trainer)}  iteration {trainer.global_step} of {total}"


def _epoch(trainer: Trainer) -> str:
    """Return ``epoch 3 of 12``; only ``epoch 3`` where the length is given in iterations and no number of epochs."""
    of = f" of {trainer.max_epochs}" if (trainer.max_epochs or -1) > 0 else ""
    return f"epoch {trainer.current_epoch + 1}{of}"
