"""Which GPUs there are, without a look at any of them: that would make a CUDA context. Free of torch."""

import os
import sys
from pathlib import Path

from resnet_lab.errors import UserError

VISIBLE = "CUDA_VISIBLE_DEVICES"  # numbers or UUIDs of GPUs, or of MIG slices, of which a process sees the first alone
SLICE = "MIG-"
DRIVERS = ("/proc/driver/nvidia/version", "/dev/kfd", "/dev/dxg")  # NVIDIA's, AMD's, and WSL's


def possible() -> bool:
    """Whether PyTorch may see one; elsewhere it need not be loaded and asked."""
    apple = sys.platform == "darwin"
    return apple or listed() > 0 or any(Path(driver).exists() for driver in DRIVERS)


def listed() -> int:
    """How many the environment names, or else the system lists; none where the environment says none."""
    given = _given()
    return len(list(Path("/dev").glob("nvidia[0-9]*"))) if given is None else len(given)


def names(count: int) -> list[str]:
    """Return the names for CUDA_VISIBLE_DEVICES: of the `count` GPUs that PyTorch sees, or of all MIG slices."""
    given = _given()
    if given is None:
        return [str(number) for number in range(count)]
    return given if count and are_slices(given) else given[:count]


def are_slices(names: list[str]) -> bool:
    return bool(names) and all(name.startswith(SLICE) for name in names)


def too_few(wanted: int, seen: int, started_by: str) -> UserError:
    """The error for a process that sees fewer GPUs than there are processes on its node."""
    prefix = f"trainer.devices={wanted}: "
    if started_by == "slurm":
        return UserError(
            f"{prefix}this task of SLURM sees {seen} GPUs, and needs to see all of its node:"
            " leave out --gpus-per-task and --gpu-bind"
        )
    if are_slices(_given() or []):
        return UserError(f"{prefix}a process sees one MIG slice: set trainer.devices=1")
    return UserError(f"{prefix}this machine shows {seen} GPUs")


def unseen() -> str | None:
    """The line that tells of GPUs that are here and that PyTorch does not see, or None where there is none.

    Raises UserError with it in a job of SLURM that was given them.
    """
    given = int(os.environ.get("SLURM_GPUS_ON_NODE") or 0)
    count = given or listed()
    line = f"{count} GPUs are here and PyTorch sees none: is its build for CUDA, and the driver new enough?"
    if given:
        raise UserError(f"{line} trainer.accelerator=cpu trains without")
    return f"{line} Training on the CPU, as with trainer.accelerator=cpu" if count else None


def _given() -> list[str] | None:
    """What CUDA_VISIBLE_DEVICES names, up to the first that is none, as CUDA reads it; None where it is not set."""
    given = os.environ.get(VISIBLE)
    if given is None:
        return None
    found: list[str] = []
    for name in (each.strip() for each in given.split(",")):
        if not (name.isdigit() or name.startswith(("GPU-", SLICE))):
            break
        found.append(name)
    return found
