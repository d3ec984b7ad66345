"""Lightning's logger of a run: whatever is logged arrives in the files of its folder, history.csv and steps.csv."""

# ruff: noqa: ARG002 (Lightning names the arguments of its hooks)

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from torch import Tensor

from resnet_lab.errors import UserError
from resnet_lab.targets import instance
from resnet_lab.training.csv_file import CsvFile

STEPS = "steps.csv"
COLUMNS = ("iteration", "epoch", "images", "train/loss", "lr", "images_per_second")
MOST = 1000  # rows: of a longer run, steps further apart are written
WRITE_EVERY = 2.0  # seconds, at most, between two writes of the file within an epoch
EVERY = 50  # iterations between looks at what is logged by step, where steps.csv has none


class _Experiment:
    """What a tracker's own methods are looked for on."""

    def __getattr__(self, name: str) -> Any:
        raise UserError(f"trainer.logger.experiment.{name}: use self.log, or trainer.logger.log_metrics")


class RunLogger(Logger):
    """What callbacks and modules reach as `trainer.logger`.

    What `self.log` has goes into the files by itself. What `log_metrics` is given within a batch belongs to the step,
    at any other time to the epoch.
    """

    name, version = "resnet-lab", ""

    def __init__(self) -> None:
        super().__init__()
        self.of_step: dict[str, float] = {}  # since the last row of steps.csv
        self.of_epoch: dict[str, float] = {}  # since the last row of history.csv
        self.hyperparameters: dict[str, object] = {}
        self.trainer: Trainer | None = None

    @property
    def experiment(self) -> Any:
        return _Experiment()  # Lightning asks for it with each start

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        module = self.trainer.lightning_module if self.trainer else None
        hook = getattr(module, "_current_fx_name", None)
        if hook is None:  # Lightning hands over what was logged: the files have it
            return
        place = self.of_step if "batch" in hook or "step" in hook or "backward" in hook else self.of_epoch
        place.update({name: float(value) for name, value in metrics.items()})

    @rank_zero_only
    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        given = params if isinstance(params, Mapping) else vars(params)
        plain = (bool, int, float, str, type(None))
        self.hyperparameters |= {
            str(name): value if isinstance(value, plain) else str(value) for name, value in given.items()
        }


def own_loggers(chosen: Mapping[str, Any]) -> list[Logger]:
    """Return the Lightning loggers of ``{name: {_target_: a.dotted.Path, argument: value}}``. Raises UserError."""
    found = []
    for name, spec in chosen.items():
        key = f"logger.extra.{name}"
        made = instance(spec, key)
        if not isinstance(made, Logger):
            raise UserError(
                f"{key} gives {type(made).__name__}: a lightning.pytorch.loggers.Logger is needed"
            )
        found.append(made)
    return found


class Steps(Checkpoint):
    """`steps.csv`: loss, learning rate, speed and whatever is logged by step, every so many iterations.

    A `Checkpoint`, so that it comes after all other callbacks, and to be listed before the one that writes.
    """

    def __init__(
        self, path: Path, logger: RunLogger, *, every: int, batch_size: int, gradient_norm: bool = False
    ) -> None:
        self._file = CsvFile(path, [*COLUMNS, *(["gradient_norm"] if gradient_norm else [])])
        self._logger, self._asked, self._every = logger, every, every
        self._batch_size = batch_size
        self._norm: Tensor | None = None
        self._written = 0.0  # when
        self._began, self._images = time.monotonic(), 0.0
        if not gradient_norm:  # Lightning skips a hook that is None, and saves each step a call
            self.on_before_optimizer_step = None  # type: ignore[method-assign,assignment]

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._logger.trainer = trainer

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        state = checkpoint["callbacks"].get(self.state_key)
        if state:
            self._file.restore(state, checkpoint["global_step"], write=trainer.is_global_zero)
            self._logger.of_step = dict(state["logged"])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._began, self._images = time.monotonic(), self._seen(trainer, trainer.fit_loop.batch_idx + 1)
        if trainer.is_global_zero:
            self._file.begin()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._began, self._images = time.monotonic(), self._seen(trainer, 0)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        # Only now is the length known: the module's own on_train_start comes after a callback's.
        total = int(pl_module.total_iterations) or (  # type: ignore[arg-type]
            int(trainer.num_training_batches) * (trainer.max_epochs or 1)
        )
        self._every = max(self._asked, math.ceil(total / MOST))
        self.on_train_batch_start = None  # type: ignore[method-assign,assignment]

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        if not (trainer.global_step + 1) % self._every:
            gradients = [each.grad for each in pl_module.parameters() if each.grad is not None]
            self._norm = torch.nn.utils.get_total_norm(gradients)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step % self._every or (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        results = trainer._results
        assert results is not None
        logged = {name: float(value) for name, value in results.metrics(on_step=True)["log"].items()}
        found = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        loss = {"train/loss": float(found)} if isinstance(found, Tensor) else {}
        now, images = time.monotonic(), self._seen(trainer, batch_idx + 1)
        own: dict[str, float] = {
            "epoch": images / trainer.datamodule.sizes["train"],  # type: ignore[attr-defined]
            "images": images,
            "images_per_second": (images - self._images) / max(now - self._began, 1e-9),
        }
        if trainer.optimizers:
            own["lr"] = trainer.optimizers[0].param_groups[0]["lr"]
        if self._norm is not None:
            own["gradient_norm"] = float(self._norm)
        for other in trainer.loggers:  # the user's, to which Lightning hands what is logged
            if other is not self._logger:
                named = {f"step/{name}": value for name, value in (loss | own).items()}
                other.log_metrics(named, trainer.global_step)
        row = {**loss, **logged, **self._logger.of_step, **own}
        self._began, self._images, self._norm = now, images, None
        self._logger.of_step = {}
        if trainer.is_global_zero:
            shown = {name: f"{value:.6g}" for name, value in row.items()}
            counts = {"iteration": str(trainer.global_step), "images": str(int(images))}
            late = now - self._written > WRITE_EVERY
            self._file.append([shown | counts], write=late)
            self._written = now if late else self._written

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._file.write()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._file.write()

    def _seen(self, trainer: Trainer, batches: int) -> float:
        """Return how many training images the run has seen, after this many batches of this epoch."""
        size = trainer.datamodule.sizes["train"]  # type: ignore[attr-defined]
        return float(trainer.current_epoch * size + min(batches * self._batch_size, size))

    def state_dict(self) -> dict[str, object]:
        return self._file.state() | {"logged": self._logger.of_step}
