"""Checkpoints that survive anything: when they are written, how, and which one is sound."""

# ruff: noqa: ARG002 (Lightning names the arguments of its hooks)

import logging
import math
import os
import shutil
import time
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import nn

from resnet_lab.config.identity import chosen, edited
from resnet_lab.config.schema import TrainConfig
from resnet_lab.files import UNFINISHED, open_file, replacing
from resnet_lab.models.stored import checkpoints_in
from resnet_lab.runs.lock import Lock
from resnet_lab.runs.signals import Signals
from resnet_lab.training.callbacks import logged

log = logging.getLogger(__name__)

# How Lightning counts an evaluation that was left within its first batch, which it starts again.
IN_EVALUATION = {"ready": 1, "started": 1, "processed": 0, "completed": 0}
AGREE_EVERY = 10  # iterations between the ranks' agreements whether one of them has a reason to write

NET = "backbone."  # how the names of the net begin in a checkpoint that does not say it
BEST = "best.ckpt"
PARTS = {"state_dict", "global_step", "callbacks"}  # of a checkpoint of Lightning's
RUN = "run"  # of one of ours: which run's it is, where its net is, and from where that went on


class UnreadableCheckpoint(RuntimeError):
    """None of the checkpoints in the folder can be used."""


class NonFiniteWeights(ArithmeticError):
    """The weights to be written are infinite or NaN; the checkpoints before stay as they are."""


class AtomicFiles(TorchCheckpointIO):
    """Writes a checkpoint beside its place, then moves it there once it is on the disk."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        for name, value in checkpoint["state_dict"].items():
            if value.is_floating_point() and not value.isfinite().all():
                raise NonFiniteWeights(f"{name} is not finite at iteration {checkpoint['global_step']}")
        with replacing(Path(path)) as temporary, temporary.open("wb") as file:
            torch.save(checkpoint, file)


class Checkpoints(Checkpoint):
    """Writes at the end of each epoch, and every so many iterations or minutes; keeps the last few.

    Being one of Lightning's `Checkpoint`s it runs after every other callback, so that a checkpoint never
    tells of less than history.csv does.
    """

    def __init__(self, folder: Path, config: TrainConfig, lock: Lock | None, held_at: str | None) -> None:
        """`held_at`: the name under which the module holds the net of `model=`; None: it does not."""
        self.folder = folder
        self.config = config.callbacks.checkpoint
        self.chosen = chosen(config)
        self.net = "" if held_at is None else f"{held_at}."
        self.resumed_from: list[int] = []  # the iterations of the checkpoints that led here
        self.stopped_early_at: int | None = None  # the iteration at which a callback ended training
        self.swapped = False  # whether a callback puts other weights into checkpoints than it trains
        self._extra = bool(config.callbacks.extra) and config.trainer.strategy != "fsdp"
        self.last: Path | None = None  # the one that was written last
        self.best: dict[str, float] = {}  # the figure, epoch and iteration of best.ckpt
        self._validated: dict[str, float] = {}  # the figures of this epoch
        self.lock = lock  # only the first rank holds it
        self.signals = Signals()
        self._written = time.monotonic()

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint[RUN] = {
            "chosen": self.chosen,
            "net": self.net,
            "resumed_from": list(self.resumed_from),
            "stopped_early_at": self.stopped_early_at,
            "best": dict(self.best),
        }
        self.swapped = self._is_swapped(pl_module, checkpoint["state_dict"])
        if trainer.validating:  # of an evaluation that is under way nothing is kept: it is made again
            progress = checkpoint["loops"]["fit_loop"]["epoch_loop.val_loop.batch_progress"]
            for counts in (progress["total"], progress["current"]):
                counts |= IN_EVALUATION

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: Mapping[str, Any]
    ) -> None:
        run = checkpoint.get(RUN, {})
        self.resumed_from += [*run.get("resumed_from", []), checkpoint["global_step"]]
        self.stopped_early_at = run.get("stopped_early_at")
        self.best = dict(run.get("best", {}))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.signals.hold()  # after Lightning has set its own handlers
        if self.stopped_early_at is not None:  # killed between its last iteration and its test
            trainer.should_stop = True
        self._written = time.monotonic()
        if trainer.is_global_zero and self.best.get("iteration") == trainer.global_step:
            # It may have been killed before the checkpoint that it goes on from was kept.
            self._keep(self.folder / f"{trainer.global_step:08d}.ckpt")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        done = batch_idx + 1
        if done == trainer.num_training_batches or done % trainer.accumulate_grad_batches:
            return  # the epoch's end writes; gradients that are still being summed are in no checkpoint
        if self._due(trainer):
            self.write(trainer)
            self.signals.act()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        total = pl_module.total_iterations
        left = trainer.global_step < total if total else trainer.current_epoch + 1 < (trainer.max_epochs or 0)
        if trainer.should_stop and left:
            self.stopped_early_at = trainer.global_step
        improved = self._improved(trainer)
        self.write(trainer)
        if improved and trainer.is_global_zero and self.last is not None:
            self._keep(self.last)
        self._over_ranks(trainer, late=False)
        self.signals.act()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._validated = logged(trainer)

    def _improved(self, trainer: Trainer) -> bool:
        """Return whether this epoch is the best so far; the first of those that are equal is."""
        name = self.config.best
        if name is None:
            return False
        value, self._validated = self._validated.get(name, math.nan), {}
        if not math.isfinite(value):
            return False
        if self.best and not self.config.better(value, self.best[name]):
            return False
        self.best = {name: value, "epoch": trainer.current_epoch + 1, "iteration": trainer.global_step}
        return True

    def _keep(self, path: Path) -> None:
        """Keep a checkpoint as best.ckpt: under both names until it is removed as an old one."""
        if not path.is_file():
            return
        with replacing(self.folder / BEST) as temporary:
            try:
                os.link(path, temporary)
            except OSError:  # the file system knows no links
                shutil.copyfile(path, temporary)

    def on_validation_batch_end(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        # Several ranks would have to agree, and a run that ends within an epoch is one that Lightning would not
        # evaluate when it goes on: those wait for the epoch's end.
        if self.signals.received is not None and trainer.world_size == 1 and not trainer.should_stop:
            self.write(trainer)
            self.signals.act()

    def _is_swapped(self, module: LightningModule, saved: Mapping[str, torch.Tensor]) -> bool:
        trained = module.state_dict() if self._extra else {}
        common = trained.keys() & saved.keys()
        return any(saved[name].data_ptr() != trained[name].data_ptr() for name in common)

    def write(self, trainer: Trainer) -> None:
        """Write the present state under its iteration and remove what is older than the last few."""
        if self.lock is not None:
            self.lock.check()
        self.last = self.folder / f"{trainer.global_step:08d}.ckpt"
        trainer.save_checkpoint(self.last)
        self._written = time.monotonic()
        if trainer.is_global_zero:
            own = [path for path in checkpoints_in(self.folder) if int(path.stem) <= trainer.global_step]
            for old in own[max(1, self.config.keep) :]:
                old.unlink()

    def _due(self, trainer: Trainer) -> bool:
        """Return whether the count, the clock or a signal asks for a checkpoint: on one rank, so on all."""
        step, every = trainer.global_step, self.config.every_iterations
        counted = bool(every) and step % (every or 1) == 0
        if trainer.world_size > 1 and not counted and step % AGREE_EVERY:
            return False
        minutes = self.config.every_minutes
        late = minutes is not None and time.monotonic() - self._written >= 60 * minutes
        return self._over_ranks(trainer, late) or counted or self.signals.received is not None

    def _over_ranks(self, trainer: Trainer, late: bool) -> bool:
        """Share the clock, and a signal that one rank received, with all ranks."""
        if trainer.world_size > 1:
            shared = torch.tensor([late, self.signals.received or 0], device=trainer.strategy.root_device)
            dist.all_reduce(shared, dist.ReduceOp.MAX)
            late, received = shared.tolist()
            self.signals.received = received or None
        return bool(late)


def best_sound(folder: Path, config: TrainConfig, iteration: float | None) -> Path:
    """Return best.ckpt; UnreadableCheckpoint where it is not the sound one of this iteration of the run."""
    path = folder / BEST
    reason = "no epoch was validated" if iteration is None else _spoilt(path, config, None, int(iteration))
    if reason is not None:
        raise UnreadableCheckpoint(f"cannot test {path} ({reason}): delete {folder} to train from the start")
    return path


def newest_sound(folder: Path, config: TrainConfig, net: nn.Module | None = None) -> Path | None:
    """Return the newest checkpoint of this run that can be read to its last byte; None when none was written yet.

    What is of another run, of another program or does not fit the `net` is passed over like what is damaged.
    Raises UnreadableCheckpoint when some were written and none will do.
    """
    refused = {}
    for path in checkpoints_in(folder):
        refused[path] = _spoilt(path, config, net, int(path.stem))
        if refused[path] is None:
            return path
        log.warning("%s cannot be used (%s): resuming from the one before", path, refused[path])
    if refused:
        names = " or ".join(f"{path.name} ({reason})" for path, reason in refused.items())
        raise UnreadableCheckpoint(f"cannot go on from {names}: delete {folder} to train from the start")
    return None


def weights_of(path: Path) -> dict[str, torch.Tensor]:
    """Return the net's weights in a checkpoint, under torchvision's names."""
    return _weights(torch.load(path, map_location="cpu", weights_only=True))


def _weights(checkpoint: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    net = checkpoint.get(RUN, {}).get("net", NET)
    state = checkpoint["state_dict"].items()
    return {name.removeprefix(net): value for name, value in state if net and name.startswith(net)}


def remove_unfinished(run: Path) -> None:
    """Remove what a killed process was writing, wherever in the run's folder; only for the holder of the lock."""
    for path in run.rglob(UNFINISHED):
        with suppress(OSError):
            path.unlink()


def _spoilt(path: Path, config: TrainConfig, net: nn.Module | None, iteration: int) -> str | None:
    """Return why a file is no checkpoint to go on from, or None: checksums are compared, nothing is executed."""
    try:
        os.close(open_file(path))
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            return f"{damaged} is damaged"
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        return _foreign(found, config, net, iteration)
    except Exception as error:  # damage shows as anything
        return " ".join(str(error).split("\n")[0].split()) or type(error).__name__


def _foreign(checkpoint: Any, config: TrainConfig, net: nn.Module | None, iteration: int) -> str | None:
    """Return why a sound file is none of this run's checkpoints, or None."""
    if not isinstance(checkpoint, dict) or not checkpoint.keys() >= PARTS:
        return "it was written by another program"
    if checkpoint["global_step"] != iteration:
        return f"it is of iteration {checkpoint['global_step']}"
    run = checkpoint.get(RUN)  # none in those of an earlier version
    if run is not None and (different := edited(config, run["chosen"])):
        return f"it belongs to another run: {'; '.join(different)}"
    if net is not None:
        ours, theirs = net.state_dict(), _weights(checkpoint)
        if {name: each.shape for name, each in ours.items()} != {
            name: each.shape for name, each in theirs.items()
        }:
            return "it belongs to another network"
    return None
