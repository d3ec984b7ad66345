"""Count the cores that a process may use. Standard library only."""

import os
from pathlib import Path

# Every library that starts threads of its own reads one of these when it loads.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
# The cores of a process, for what changes no result however many share the work, as decoding images.
SHARE = "RESNET_LAB_CORES"
COMMAND = (
    "RESNET_LAB_COMMAND"  # the arguments with which a sweep was started, as JSON: its runs tell trackers
)
IN_SWEEP = "RESNET_LAB_IN_SWEEP"  # set for the runs of a sweep, whose slots wait for nothing but training


def cores() -> int:
    """Return how many CPU cores this process may use, its affinity and its container's quota counted."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return usable
    return usable if quota == "max" else max(1, min(usable, int(quota) // int(period)))


def share() -> int:
    """Return the cores that whoever started this process gave it, or else all that it may use."""
    return int(os.environ.get(SHARE) or cores())


def share_of(processes: int) -> dict[str, str]:
    """Return the environment of each of this many processes that divide what this one may use."""
    return {SHARE: str(max(1, share() // processes))}
