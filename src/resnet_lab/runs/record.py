"""The record that a run leaves: what it was, what it scored, what it cost. Free of torch."""

import csv
import math
import platform
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from resnet_lab.config.identity import identity
from resnet_lab.config.schema import ObjectiveConfig, TrainConfig
from resnet_lab.models.nets import depth, kind, label
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.lock import Lock
from resnet_lab.targets import digest

PACKAGE = Path(__file__).resolve().parents[1]
SCHEMA = 1  # counted up when a reader of older records would misunderstand a newer one
NO_METRICS = ("epoch", "iteration", "lr", "seconds")  # columns of history.csv


def opened(config: TrainConfig, lock: Lock | None) -> dict[str, Any]:
    """A record of what is known before anything is loaded; the rest of its keys are None."""
    model = config.model
    return {
        "schema": SCHEMA,
        "state": "failed",  # until the last line is known
        "experiment": config.name,
        "answers": config.answers,
        "label": label(model),
        "hash": identity(config),
        "seed": config.seed,
        "config": asdict(config),
        "model": {
            "label": label(model),
            "kind": kind(model),
            "depth": depth(model),
            "parameters": None,
            "multiply_adds": None,
            "layers": None,
            "input": None,
        },
        "data": {"name": config.data.name, "train": None, "val": None, "test": None, "classes": None},
        "last": None,
        "best": None,
        "objective": asdict(config.objective),
        "protocol": config.protocol,
        "batch_norm": None,  # how many images each of its statistics saw
        "cost": None,
        "numerics": None,  # on what equal bits depend beside the configuration
        "environment": environment(),
        "started": lock.first_started if lock else None,
        "finished": None,
        "resumes": lock.attempt - 1 if lock else 0,
        "resumed_from": [],  # the iterations of the checkpoints that led to the last one
        # What callbacks of one's own did: the iteration at which one ended training; whether one put other weights into
        # the checkpoints, and so into the test, than were trained; whether one changed them later, which is not tested;
        # the names of those that begin anew with a resume.
        "stopped_early_at": None,
        "weights_of_a_callback": False,
        "changed_after_training": False,
        "without_state": [],
        "error": None,
    }


def closed(record: dict[str, Any], error: dict[str, str] | None = None) -> dict[str, Any]:
    """The record with its state, and the time."""
    state = "finished" if error is None else "failed"
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return record | {"state": state, "error": error, "finished": now}


def lacking(config: TrainConfig, folder: RunFolder) -> str:
    """The line that tells which metrics a finished run was not asked for, and this configuration asks; or none."""
    last = (folder.record() or {}).get("last") or {}
    told = {name.split("/")[1] for name in last if name.startswith("test/")}
    names = [f"metrics.{name}" for name in config.metrics if name not in told]
    way = f"resnet-lab evaluate --run {shlex.quote(str(folder.path))} with the same metrics computes them"
    return f"finished without {', '.join(names)}: {way}" if names else ""


def scores(folder: RunFolder, final: dict[str, float], objective: ObjectiveConfig) -> dict[str, Any]:
    """`last`, the epoch in which the last iteration fell with the final test, and `best`, by the validation images.

    The best epoch is never chosen on the test set, so without validation images there is none. A metric that is
    not defined, as that of a class without images, is None.
    """
    with folder.history_file.open(newline="") as file:
        rows = list(csv.DictReader(file))
    end = rows[-1]
    last: dict[str, float] = {"epoch": int(end["epoch"]), "iteration": int(end["iteration"])}
    last |= {name: float(cell) for name, cell in end.items() if cell and name not in NO_METRICS}
    by = objective.validated
    best = (min if objective.mode == "min" else max)(
        (row for row in rows if row.get(by)), key=lambda row: float(row[by]), default=None
    )
    return {
        "last": {name: value if math.isfinite(value) else None for name, value in (last | final).items()},
        "best": best and {by: float(best[by]), "epoch": int(best["epoch"])},
    }


def environment() -> dict[str, Any]:
    """Versions, a digest of this package's own code, and the commit of it where it runs from a checkout."""
    packages = {"torch": "torch", "lightning": "lightning", "resnet_lab": "resnet-lab"}
    return {
        "python": platform.python_version(),
        **{name: version(package) for name, package in packages.items()},
        "code": code_digest(),
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": bool(changed) if (changed := _git("status", "--porcelain")) is not None else None,
    }


def of_this_code(record: Mapping[str, Any]) -> bool:
    """Whether this package's code is still that which made the run; a record that tells of none is an earlier one's."""
    return (record.get("environment") or {}).get("code") == code_digest()


@cache
def code_digest() -> str:
    """8 hexadecimal digits over every source file of this package."""
    return digest({str(file.relative_to(PACKAGE)): file for file in PACKAGE.rglob("*.py")})


def _git(*arguments: str) -> str | None:
    """What git answers about this package's own checkout; None where there is none."""
    root = PACKAGE.parents[1]
    if not (root / ".git").exists():
        return None
    try:
        answer = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
