"""How a process computes a run: its threads, memory, compiled net and rounding, and what its record says of them."""

import ctypes
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.backends import cudnn

from resnet_lab.config.schema import PRECISIONS, TrainConfig
from resnet_lab.cores import THREAD_VARIABLES, share

deterministic: Any = torch.utils.deterministic  # whose attribute no type checker sees
DRIVER = Path("/proc/driver/nvidia/version")
AMPERE = (8, 0)  # the capability from which on GPUs have units for TF32 and bf16
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h, in bytes
LARGE = (2**30, 2**25)  # older releases take no more than 32 MiB


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
    """Return what else decides the bits of a result; None for what does not apply to this device."""
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
    """Return the warning of a GPU without units for bf16, which is slower than it need be; None elsewhere."""
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


def compute_with(threads: int) -> None:
    """Let this process compute with this many threads."""
    # Lightning chooses a number of its own where OMP_NUM_THREADS says nothing.
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    torch.set_num_threads(threads)


def keep_freed() -> bool:
    """Let this process keep what it frees, up to its peak; return whether its C library can, as glibc does.

    The first touch of a page is slow: a step of `cifar_resnet20` takes 7 % less time so, one of `resnet50` 2 %.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    # In this order: the second alone would have every larger tensor mapped anew.
    return any(mallopt(M_MMAP_THRESHOLD, size) for size in LARGE) and bool(
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    )


def compile_in_place(net: nn.Module) -> None:
    """Compile when it is first called, by as many processes as the run has cores; its parameters keep their names."""
    from torch._inductor import config

    config.compile_threads = share()  # else the machine's cores, up to 32, for each run beside another
    # A graph for each shape: after the last, smaller batch of an epoch all others would run a slower one for any.
    net.compile(dynamic=False)
