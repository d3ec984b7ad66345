"""How a run's record comes to be, and what it says of the code that trained. Free of torch."""

import csv
import hashlib
import math
import platform
import re
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from resnet_lab.config.identity import identity
from resnet_lab.config.own_code import targets
from resnet_lab.config.schema import ObjectiveConfig, TrainConfig
from resnet_lab.errors import UserError
from resnet_lab.files import read_text, write_text
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.record import DataFacts, Environment, Failure, ModelFacts, Record, State
from resnet_lab.targets import own_sources

PACKAGE = Path(__file__).resolve().parents[1]
# The rooms of this package, and the files of runs/, that can change a result.
DECIDE = ("models", "data", "training")
DECIDE_IN_RUNS = ("assemble", "checkpoints", "devices", "numerics", "train")
NO_METRICS = ("epoch", "iteration", "lr", "seconds")  # columns of history.csv
SOURCES = "sources.md"  # the user's own code, for people to read: nothing executes it
EDITED = "edited since"


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
    from importlib.metadata import version  # 0.02 s, which a mistake need not wait for

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
    """Return whether this package's code is still that which made the run; an older record may not say."""
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


def leave(folder: RunFolder, config: TrainConfig, record: Record) -> Record:
    """Write the user's own code into the run folder, and return the record with the commit of their project."""
    files: dict[str, Path] = {}
    for leaf in targets(config):
        if leaf.affects_result:
            files |= own_sources(leaf.value)
    project = next(iter(files.values())).parent if files else Path.cwd()
    commit, dirty = git(project, "rev-parse", "HEAD"), None
    if commit is not None:
        changed = git(project, "status", "--porcelain", "--untracked-files=no")
        untracked = git(project, "status", "--porcelain", "--", *map(str, files.values())) if files else ""
        dirty = bool(changed or untracked)
    if files:
        head = [f"# The code of your own that made {record.label}, {record.hash}", "Nothing runs it."]
        if commit is not None:
            changes = ", with changes that were not committed" if dirty else ""
            head.append(f"Commit {commit[:10]} of your project{changes}.")
        texts = {name: file.read_text("utf-8", "backslashreplace") for name, file in sorted(files.items())}
        parts = [f"## {name}\n\n````python\n{text.rstrip()}\n````" for name, text in texts.items()]
        write_text(folder.path / SOURCES, "\n\n".join(head + parts) + "\n")
    known = replace(record.environment, project_commit=commit, project_dirty=dirty)
    return replace(record, environment=known)


def with_its_code(error: UserError, folder: RunFolder) -> UserError:
    """Return an error that says that code was edited, with where the code of the run is."""
    path = folder.path / SOURCES
    if EDITED not in str(error) or not path.is_file():
        return error
    commit = re.search(r"^Commit (.*)\.$", read_text(path), re.MULTILINE)
    where = f"commit {commit[1]} and " if commit else ""
    return UserError(f"{error}; the run's own code: {where}{path} as a text")
