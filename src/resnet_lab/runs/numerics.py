"""How the sums of a run round: what is set for it, and what its record tells of what else decides it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.backends import cudnn

from resnet_lab.config.schema import PRECISIONS, TrainConfig

deterministic: Any = torch.utils.deterministic  # whose attribute no type checker sees
DRIVER = Path("/proc/driver/nvidia/version")
AMPERE = (8, 0)  # the capability from which on GPUs have units for TF32 and bf16


@contextmanager
def as_configured(config: TrainConfig) -> Iterator[None]:
    """PyTorch rounds as the run says; afterwards as before, also in what Lightning's Trainer sets."""
    before = cudnn.allow_tf32, cudnn.benchmark, deterministic.fill_uninitialized_memory
    enabled = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn.allow_tf32 = PRECISIONS[config.precision].tf32
    if config.trainer.deterministic:
        # It costs time, and nothing here reads what it did not write.
        deterministic.fill_uninitialized_memory = False
    try:
        yield
    finally:
        cudnn.allow_tf32, cudnn.benchmark, deterministic.fill_uninitialized_memory = before
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)


def describe(config: TrainConfig, device: torch.device, world_size: int) -> dict[str, object]:
    """The record's ``numerics``: on what equal bits depend beside the configuration; None: not on this device."""
    gpu, precision = device.type == "cuda", PRECISIONS[config.precision]
    return {
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "compiled": config.trainer.compile,
        "world_size": world_size,
        "tf32": precision.tf32 and not precision.autocast and capability(device) >= AMPERE if gpu else None,
        "benchmark": cudnn.benchmark if gpu else None,
        "cuda": torch.version.cuda if gpu else None,
        "cudnn": cudnn.version() if gpu else None,
        "driver": _driver() if gpu else None,
    }


def emulated(config: TrainConfig, device: torch.device) -> str | None:
    """The line that tells of a GPU without units for bf16, which then is slower than it need be."""
    if config.precision != "bf16" or device.type != "cuda" or capability(device) >= AMPERE:
        return None
    name = torch.cuda.get_device_name(device)
    return f"precision=bf16: {name} has no units for it and emulates them; precision=16 or 32 is faster"


def capability(device: torch.device) -> tuple[int, int]:
    return torch.cuda.get_device_capability(device)


def _driver() -> str | None:
    try:
        found = re.search(r"Kernel Module.*?(\d+\.[\d.]+)", DRIVER.read_text())
    except OSError:
        return None
    return found[1] if found else None
