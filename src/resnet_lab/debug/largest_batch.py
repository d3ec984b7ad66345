"""debug=batch: how many images fit into memory in one training step, and which batch size is the fastest?"""

import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor
from torch.utils._pytree import tree_map

from resnet_lab.data.order import images_in
from resnet_lab.training.csv_file import CsvFile

COLUMNS = ("batch_size", "memory_gb", "images_per_second")
SHARE = 0.8  # of the machine's memory that a process on the CPU may take: there, too large a batch ends the process
LONGEST = 30.0  # seconds for a step, after which no larger batch is tried


class LargestBatch(Checkpoint):
    """Takes training steps on ever larger batches, made of the first one, and prints the largest that fits.

    The sizes double until memory is full, all training images are in one batch, or a step takes `LONGEST`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if (
            trainer.global_step == 0
        ):  # the first step makes the state of the optimiser, which takes memory too
            return
        most = trainer.datamodule.sizes["train"] // trainer.world_size  # type: ignore[attr-defined]
        rows: list[tuple[int, float, float]] = []  # as COLUMNS
        size, full, seconds = images_in(batch), False, 0.0
        while size <= most and seconds < LONGEST and not full:
            larger = enlarged(batch, size)
            try:
                _step(trainer, pl_module, larger, batch_idx)  # compiles, and finds the fastest kernels
                began = time.monotonic()
                _step(trainer, pl_module, larger, batch_idx)
                seconds = time.monotonic() - began
            except torch.OutOfMemoryError:
                full = True
                break
            rows.append((size * trainer.world_size, used(trainer.strategy.root_device) / 1e9, size / seconds))
            full = _would_not_fit(rows, trainer.strategy.root_device)
            if trainer.world_size > 1:  # all ranks try the same sizes
                seconds = float(trainer.strategy.reduce(torch.tensor(seconds), reduce_op="mean"))
                full = trainer.strategy.reduce_boolean_decision(full, all=False)
            size *= 2
        trainer.should_stop = True
        if trainer.is_global_zero:
            self._write(
                rows, "memory is full" if full else f"{LONGEST:.0f} s for a step" if size <= most else ""
            )

    def _write(self, rows: list[tuple[int, float, float]], reason: str) -> None:
        if not rows:
            print(
                f"{self._folder}: not even the smallest batch fits; see model.checkpointing=true", flush=True
            )
            return
        CsvFile(self._folder / "batch_sizes.csv", COLUMNS).append(
            {name: f"{value:.6g}" for name, value in zip(COLUMNS, row, strict=True)} for row in rows
        )
        largest, memory, _ = rows[-1]
        fastest, _, speed = max(rows, key=lambda row: row[2])
        print(
            f"{self._folder}: the largest batch tried that fits is recipe.batch_size={largest} ({memory:.2g} GB;"
            f" {reason or 'twice as many are more than the training images'}); the fastest is"
            f" {fastest} ({speed:,.0f} images/s): see batch_sizes.csv",
            flush=True,
        )


def enlarged(batch: Any, size: int) -> Any:
    """Return a batch of `size` images that repeats the images of this one."""
    count = images_in(batch)

    def repeated(value: Any) -> Any:
        if not isinstance(value, Tensor) or value.shape[:1] != (count,):
            return value
        found = value.repeat(-(-size // count), *[1] * (value.ndim - 1))[:size]
        return found.contiguous(memory_format=torch.channels_last) if found.ndim == 4 else found

    return tree_map(repeated, batch)


def used(device: torch.device) -> float:
    """Return the most memory in bytes that this process has used so far, on a GPU or on the machine."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else 1024 * peak)


def _would_not_fit(rows: list[tuple[int, float, float]], device: torch.device) -> bool:
    """Return whether twice the last batch would take more memory than there is; a GPU says so itself."""
    if device.type == "cuda" or len(rows) < 2:
        return False
    (_, before, _), (_, last, _) = rows[-2:]
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return last + 2 * (last - before) > SHARE * there


def _step(trainer: Trainer, module: LightningModule, batch: Any, number: int) -> None:
    """Compute a training step's gradients and drop them."""
    with trainer.precision_plugin.train_step_context():
        found = module.training_step(batch, number)
    loss = found["loss"] if isinstance(found, dict) else found
    if isinstance(loss, Tensor) and module.automatic_optimization:
        loss.backward()
    module.zero_grad()
    if trainer.strategy.root_device.type == "cuda":
        torch.cuda.synchronize()
