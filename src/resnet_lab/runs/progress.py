"""How far runs are, how long the rest of them will take, and signs that one is about to fail. Free of torch."""

import math
import shutil
import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnet_lab.runs.history import Columns
from resnet_lab.runs.record import Cost
from resnet_lab.terminal import said

GROWN = 10.0  # times the smallest training loss so far
LEAST = 2**30  # bytes that a disk should have left: a checkpoint or two, and the log
SILENT = 10  # times an epoch's usual seconds
PATIENCE = 600.0  # seconds that nobody minds


@dataclass(frozen=True)
class Progress:
    """How far one run is."""

    alike: Hashable  # what the runs that take as long as this one have in common
    work: float  # of the whole run, beside that of others
    done: float  # of its iterations, from 0 to 1
    seconds: float  # that this took
    speed: float | None = None  # training images a second
    epoch: str = ""  # as in "epoch 3 of 12"

    @classmethod
    def of(cls, choices: Mapping[str, Any], history: Columns, cost: Cost | None) -> "Progress":
        """Return the progress of a run with these choices by dotted key; `cost` is given once it has finished."""
        alike = tuple(str(choices.get(key)) for key in _ALIKE)
        if cost is not None:
            seconds = cost.total_seconds or cost.train_seconds or 0.0
            return cls(alike, work(choices), 1.0, seconds, cost.images_per_second)
        epochs, iterations = history.get("epoch", []), history.get("iteration", [])
        if not epochs or not iterations:
            return cls(alike, work(choices), 0.0, 0.0)
        asked = choices.get("recipe.iterations"), choices.get("recipe.epochs")
        done = iterations[-1] / asked[0] if asked[0] else epochs[-1] / asked[1] if asked[1] else 0.0
        seconds = sum(value for value in history.get("seconds", []) if value == value)
        speed = None
        if seconds and choices.get("recipe.batch_size"):
            speed = iterations[-1] * choices["recipe.batch_size"] / seconds
        of = "" if asked[0] or not asked[1] else f" of {asked[1]}"
        return cls(alike, work(choices), min(done, 1.0), seconds, speed, f"epoch {epochs[-1]:.0f}{of}")


_ALIKE = (
    *(f"model.{key}" for key in ("_target_", "args", "depth", "block", "width", "width_factor", "groups")),
    *(f"recipe.{key}" for key in ("iterations", "epochs", "batch_size", "accumulate")),
    *("data.name", "precision", "trainer.compile", "trainer.devices", "trainer.threads"),
)


def work(choices: Mapping[str, Any]) -> float:
    """Return what a run costs beside others of its data: multiply-adds go with depth and the square of the width."""
    depth, width = choices.get("model.depth"), choices.get("model.width")
    factor = choices.get("model.width_factor") or 1.0
    net = (depth or 1) * ((width or 16) * factor) ** 2
    return float(net * (choices.get("recipe.iterations") or choices.get("recipe.epochs") or 1))


def seconds_left(runs: Sequence[Progress], at_once: int) -> float | None:
    """Estimate the seconds until all runs have finished, `at_once` at a time; None while none has finished an epoch.

    A run takes as long as those like it did; one of a kind that none has begun, as long as its work says.
    """
    begun = [run for run in runs if run.done > 0 and run.seconds > 0]
    if not begun:
        return None
    rate = sum(run.seconds for run in begun) / sum(run.work * run.done for run in begun)
    alike: dict[Hashable, list[Progress]] = {}
    for run in begun:
        alike.setdefault(run.alike, []).append(run)
    whole = {
        kind: sum(run.seconds for run in members) / sum(run.done for run in members)
        for kind, members in alike.items()
    }
    left = [(1 - run.done) * whole.get(run.alike, rate * run.work) for run in runs]
    total = max(sum(left) / max(at_once, 1), max(left))
    return total if math.isfinite(total) else None


def sign_of_losses(losses: Sequence[float]) -> str:
    """Return the sign in the training losses of the epochs so far; empty where all is well."""
    if not losses:
        return ""
    last = losses[-1]
    if not math.isfinite(last):
        return f"the training loss is {last}"
    least = min((loss for loss in losses if math.isfinite(loss)), default=last)
    return f"the training loss has grown from {least:.3g} to {last:.3g}" if last > GROWN * least > 0 else ""


def sign_of_disk(path: Path) -> str:
    """Return the sign that the disk is nearly full; empty where it is not, or cannot be asked."""
    try:
        free = shutil.disk_usage(path).free
    except OSError:
        return ""
    return f"{free / 2**30:.1f} GiB are left on the disk of {path}" if free < LEAST else ""


def sign_of_silence(history: Path, epochs: Columns) -> str:
    """Return the sign that a run has not ended an epoch for long; empty where it has, or never ended one."""
    seconds = sorted(value for value in epochs.get("seconds", []) if value == value)
    if not seconds:
        return ""
    usual = seconds[len(seconds) // 2]
    try:
        quiet = time.time() - history.stat().st_mtime
    except OSError:
        return ""
    long = quiet > max(PATIENCE, SILENT * usual)
    return f"no epoch for {said(quiet)}, which took {said(usual)} before" if long else ""
