"""Signs that a run is about to fail, reported before it does. Free of torch."""

import math
import shutil
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from resnet_lab.runs.history import Columns
from resnet_lab.terminal import said

GROWN = 10.0  # times the smallest training loss so far
LEAST = 2**30  # bytes that a disk should have left: a checkpoint or two, and the log
SILENT = 10  # times an epoch's usual seconds
PATIENCE = 600.0  # seconds that nobody minds


def of_losses(losses: Sequence[float]) -> str:
    """What the training losses of the epochs so far tell; empty where all is well."""
    if not losses:
        return ""
    last = losses[-1]
    if not math.isfinite(last):
        return f"the training loss is {last}"
    least = min((loss for loss in losses if math.isfinite(loss)), default=last)
    return f"the training loss has grown from {least:.3g} to {last:.3g}" if last > GROWN * least > 0 else ""


def of_disk(path: Path) -> str:
    """Whether the disk is nearly full; empty where it is not, or cannot be asked."""
    try:
        free = shutil.disk_usage(path).free
    except OSError:
        return ""
    return f"{free / 2**30:.1f} GiB are left on the disk of {path}" if free < LEAST else ""


def of_silence(history: Path, epochs: Columns) -> str:
    """Whether a run that trains has not ended an epoch for long; empty where it has, or never ended one."""
    usual = [value for value in epochs.get("seconds", []) if value == value]
    if not usual:
        return ""
    try:
        quiet = time.time() - history.stat().st_mtime
    except OSError:
        return ""
    long = max(PATIENCE, SILENT * statistics.median(usual))
    return (
        f"no epoch for {said(quiet)}, which took {said(statistics.median(usual))} before"
        if quiet > long
        else ""
    )
