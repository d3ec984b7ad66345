"""How a run's record comes to be, and what it says of the code that trained. Free of torch."""

import csv
import hashlib
import math
import platform
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path

from resnet_lab.config.identity import identity
from resnet_lab.config.schema import ObjectiveConfig, TrainConfig
from resnet_lab.runs.record import DataFacts, Environment, Failure, ModelFacts, Record, State

PACKAGE = Path(__file__).resolve().parents[1]
# The rooms of this package, and the files of runs/, that can change a result.
DECIDE = ("models", "data", "training")
DECIDE_IN_RUNS = ("train", "checkpoints", "compiled", "devices", "final_test", "numerics", "threads")
NO_METRICS = ("epoch", "iteration", "lr", "seconds")  # columns of history.csv


def opened(config: TrainConfig, started: str | None = None, attempt: int = 1) -> Record:
    """Return what is known of a run before anything is loaded."""
    model = config.model
    return Record(
        experiment=config.name,
        answers=config.answers,
        label=model.label,
        hash=identity(config),
        seed=config.seed,
        config=asdict(config),
        model=ModelFacts(label=model.label, kind=model.kind, depth=model.paper_depth),
        data=DataFacts(name=config.data.name),
        objective=asdict(config.objective),
        protocol=config.protocol,
        environment=environment(),
        started=started,
        resumes=attempt - 1,
    )


def closed(record: Record, error: Failure | None = None) -> Record:
    """Return the record with its state, and the time."""
    state = State.FINISHED if error is None else State.FAILED
    return replace(record, state=state, error=error, finished=datetime.now(UTC).isoformat(timespec="seconds"))


def lacking(config: TrainConfig, record: Record | None, path: Path) -> str:
    """Return the line that names the metrics that a finished run was not asked for, and this configuration asks."""
    last = record.last if record else {}
    known = {name.split("/")[1] for name in last if name.startswith("test/")}
    names = [f"metrics.{name}" for name in config.metrics if name not in known]
    way = f"resnet-lab evaluate --run {shlex.quote(str(path))} with the same metrics computes them"
    return f"finished without {', '.join(names)}: {way}" if names else ""


def scores(
    history: Path, final: Mapping[str, float], objective: ObjectiveConfig
) -> tuple[dict[str, float | None], dict[str, float | None]]:
    """Return `last`, the epoch of the last iteration with the final test, and `best`, by the validation images.

    The best epoch is never chosen on the test set, so without validation images there is none. A metric that is
    not defined, such as that of a class without images, is None.
    """
    with history.open(newline="") as file:
        rows = list(csv.DictReader(file))
    end = rows[-1]
    last: dict[str, float] = {"epoch": int(end["epoch"]), "iteration": int(end["iteration"])}
    last |= {name: float(cell) for name, cell in end.items() if cell and name not in NO_METRICS}
    by = objective.validated
    best = (min if objective.mode == "min" else max)(
        (row for row in rows if row.get(by)), key=lambda row: float(row[by]), default=None
    )
    return (
        {name: value if math.isfinite(value) else None for name, value in (last | dict(final)).items()},
        {by: float(best[by]), "epoch": int(best["epoch"])} if best else {},
    )


@cache
def environment() -> Environment:
    """Return the versions, a digest of this package's own code, and its commit where it runs from a checkout."""
    changed = _git("status", "--porcelain")
    return Environment(
        python=platform.python_version(),
        torch=version("torch"),
        lightning=version("lightning"),
        resnet_lab=version("resnet-lab"),
        code=code_digest(),
        git_commit=_git("rev-parse", "HEAD"),
        git_dirty=None if changed is None else bool(changed),
    )


def of_this_code(record: Record | None) -> bool:
    """Whether this package's code is still that which made the run; an older record may not tell."""
    return record is not None and record.environment.code == code_digest()


@cache
def code_digest() -> str:
    """Return 8 hexadecimal digits over the source files of this package that can change a result."""
    files = [file for room in DECIDE for file in sorted((PACKAGE / room).rglob("*.py"))]
    files += [PACKAGE / "runs" / f"{name}.py" for name in DECIDE_IN_RUNS]
    text = hashlib.sha256()
    for file in files:
        text.update(f"{file.relative_to(PACKAGE)}\0".encode() + file.read_bytes() + b"\0")
    return text.hexdigest()[:8]


def _git(*arguments: str) -> str | None:
    """Return what git answers about this package's own checkout; None where there is none."""
    root = PACKAGE.parents[1]
    return git(root, *arguments) if (root / ".git").exists() else None


def git(folder: Path, *arguments: str) -> str | None:
    """Return what git answers about the checkout that a folder lies in; None where it lies in none."""
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
