"""Measure the cost of a run: seconds, images a second, memory. It survives an interruption."""

# ruff: noqa: ARG002 (Lightning names the arguments of its hooks)

import math
import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from resnet_lab.data.order import images_in
from resnet_lab.runs.record import Cost as CostFacts

SHARED = 0.05  # of the training seconds that were spent waiting for a core, from which they say little
FIRST, LAST = 2, 6  # the steps of this process whose memory counts


class CostMeter(Callback):
    """Counts training seconds (without evaluations) and the training images of all devices."""

    def __init__(self) -> None:
        self.images = 0  # of this rank; what other ranks saw before a resume is counted with the first
        self.train_seconds = 0.0
        self.processor_seconds = 0.0  # of all threads of this process
        self.waited_seconds = 0.0  # of the thread that trains, for a core; nan where the system does not tell
        self._before = 0.0  # seconds of all that led to the checkpoint that this process started from
        self._began = time.monotonic()
        self._since: tuple[float, float, float] | None = None  # the clocks when training went on
        # How many devices trained, and with how many threads: one number after another where a resume changed it.
        self._devices: list[int] = []
        self._threads: list[int] = []
        self._steps, self._bytes = 0, 0  # of this process; the most memory of a GPU in them

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._trainer = trainer

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._since = _clocks()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.images += images_in(batch)
        self._measure_memory(trainer.strategy.root_device)
        if self._devices[-1:] != [trainer.world_size]:
            self._devices.append(trainer.world_size)
        if self._threads[-1:] != [torch.get_num_threads()]:
            self._threads.append(torch.get_num_threads())

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._pause()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._since = _clocks()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._pause()

    def state_dict(self) -> dict[str, object]:
        """Called on every rank, so that all images can be counted."""
        if self._since is not None:
            self._pause()
            self._since = _clocks()
        return {
            "images": self._all_images(),
            "devices": self._devices,
            "threads": self._threads,
            "train_seconds": self.train_seconds,
            "processor_seconds": self.processor_seconds,
            "waited_seconds": self.waited_seconds,
            "total_seconds": self._total_seconds(),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        first = not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0
        waited = state_dict.get("waited_seconds")
        self.images = state_dict["images"] if first else 0
        self.train_seconds = state_dict["train_seconds"]
        self.processor_seconds = state_dict.get("processor_seconds", 0.0)
        self.waited_seconds = math.nan if waited is None else waited
        self._before = state_dict["total_seconds"]
        self._devices = list(state_dict.get("devices", []))
        self._threads = list(state_dict.get("threads", []))

    def facts(self) -> CostFacts:
        """Return the record's ``cost``; every rank must ask."""
        device, images = self._trainer.strategy.root_device, self._all_images()
        known = math.isfinite(self.waited_seconds)
        return CostFacts(
            train_seconds=round(self.train_seconds, 3),
            total_seconds=round(self._total_seconds(), 3),
            processor_seconds=round(self.processor_seconds, 3),
            waited_seconds=round(self.waited_seconds, 3) if known else None,
            shared_cores=self.waited_seconds > SHARED * self.train_seconds if known else None,
            images=images,
            images_per_second=round(images / max(self.train_seconds, 1e-9), 1),
            peak_memory_mib=round(self._peak_mib(device), 1),
            accelerator=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            devices=self._trainer.world_size,
            trained_on=self._devices or [self._trainer.world_size],
            threads=torch.get_num_threads(),
            threads_in_turn=self._threads or [torch.get_num_threads()],
        )

    def _pause(self) -> None:
        if self._since is None:
            return
        train, processor, waited = (now - then for now, then in zip(_clocks(), self._since, strict=True))
        self.train_seconds += train
        self.processor_seconds += processor
        self.waited_seconds += waited
        self._since = None

    def _total_seconds(self) -> float:
        """Return the seconds that led to the result, without those lost in an interruption."""
        return self._before + time.monotonic() - self._began

    def _all_images(self) -> int:
        """Return how many training images all devices saw; every rank must ask."""
        if not torch.distributed.is_initialized():
            return self.images
        count = torch.tensor(self.images, device=self._trainer.strategy.root_device)
        torch.distributed.all_reduce(count)
        return int(count)

    def _measure_memory(self, device: torch.device) -> None:
        """Skip the first steps of a GPU: cuDNN's trial runs take what there is, and training does not need it."""
        self._steps += 1
        if device.type != "cuda" or not FIRST <= self._steps <= LAST:
            return
        if self._steps == FIRST:
            torch.cuda.reset_peak_memory_stats(device)
        else:
            self._bytes = torch.cuda.max_memory_allocated(device)

    def _peak_mib(self, device: torch.device) -> float:
        """Return the most memory in use: of a GPU as PyTorch counts it for a training step, else of this process."""
        if device.type == "cuda":
            return (self._bytes or torch.cuda.max_memory_allocated(device)) / 2**20
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (2**20 if sys.platform == "darwin" else 2**10)


def _clocks() -> tuple[float, float, float]:
    """Return seconds by the clock, of the processor in this process, and of this thread waiting for a core.

    The last are nan where the system does not tell, as Linux does.
    """
    try:  # nanoseconds on a core, waiting for one, turns
        on_core, waiting, _ = map(int, Path("/proc/thread-self/schedstat").read_text().split())
    except (OSError, ValueError):
        on_core = waiting = 0
    return time.monotonic(), time.process_time(), waiting / 1e9 if on_core else math.nan
