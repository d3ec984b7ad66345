"""The record that a run leaves: what it was, what it scored, what it cost. Free of torch.

`Record` is the only reader and writer of ``record.json``. A file of an older version is read as well.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from enum import StrEnum
from functools import cache
from types import UnionType
from typing import Any, Self, get_args, get_origin, get_type_hints

from resnet_lab import fields as allowed
from resnet_lab.errors import UserError

SCHEMA = 2  # counted up when a reader of older records would misunderstand a newer one
RATES = ("error", "top5_error")  # metrics in per cent


class State(StrEnum):
    """The state of a run folder, and of a run as a sweep sees it."""

    NEW = "new"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    FINISHED = "finished"
    # In a sweep alone:
    WAITING = "waiting"
    ALREADY = "already there"  # finished before this sweep began
    ELSEWHERE = "running elsewhere"  # another process trains it
    STOPPED = "stopped"  # with the sweep itself, or by a search: nothing of its own went wrong


@dataclass
class Failure:
    """The reason that stopped a run; the kinds are listed in runs/failures.py."""

    kind: str
    message: str = ""  # one line


@dataclass
class ModelFacts:
    """The model of a run."""

    label: str | None = None  # for example resnet-20
    kind: str | None = None  # for example residual (basic, A)
    depth: int | None = None  # weighted layers, None where the papers do not count them
    parameters: int | None = allowed.number(None, least=0)
    multiply_adds: int | None = allowed.number(None, least=0)
    layers: int | None = allowed.number(None, least=0)
    input: list[int] | None = None  # channels, height, width


@dataclass
class DataFacts:
    """The images of a run."""

    name: str | None = None
    train: int | None = allowed.number(None, least=0)
    val: int | None = allowed.number(None, least=0)
    test: int | None = allowed.number(None, least=0)
    classes: int | None = allowed.number(None, least=0)
    not_promised: str | None = None  # what a data set of the user's own does not guarantee


@dataclass
class BatchNorm:
    """How batch-norm statistics were computed; all None for a model without batch norm."""

    images: int | None = allowed.number(None, least=0)  # per statistic
    synced: bool | None = None


@dataclass
class Cost:
    """The cost of a run, including all attempts that led to its last checkpoint."""

    train_seconds: float | None = allowed.number(None, least=0)
    total_seconds: float | None = allowed.number(None, least=0)
    processor_seconds: float | None = allowed.number(None, least=0)  # in training, of the first process alone
    waited_seconds: float | None = allowed.number(None, least=0)  # of train_seconds, for a core of others
    shared_cores: bool | None = None  # whether that was so much that the seconds say little
    images: int | None = allowed.number(None, least=0)
    images_per_second: float | None = allowed.number(None, least=0)
    peak_memory_mib: float | None = allowed.number(None, least=0)
    accelerator: str | None = None
    devices: int | None = allowed.number(None, least=1)
    trained_on: list[int] = field(default_factory=list)  # [2, 1]: begun on two devices, resumed on one
    threads: int | None = allowed.number(None, least=1)
    threads_in_turn: list[int] = field(default_factory=list)  # [1, 2]: edited in config.yaml, and resumed


@dataclass
class Environment:
    """The versions and the code that made a run."""

    python: str | None = None
    torch: str | None = None
    lightning: str | None = None
    resnet_lab: str | None = None
    code: str | None = None  # digest of this package's sources
    git_commit: str | None = None
    git_dirty: bool | None = None
    project_commit: str | None = None  # of the user's own project
    project_dirty: bool | None = None


@dataclass
class Record:
    """The facts of a run; parts that are not known yet are empty."""

    schema: int = SCHEMA
    state: State = State.FAILED  # until the last line is known
    experiment: str | None = None
    answers: str | None = None
    label: str | None = None
    hash: str | None = None
    seed: int | None = None
    config: dict[str, Any] = field(default_factory=dict)
    model: ModelFacts = field(default_factory=ModelFacts)
    data: DataFacts = field(default_factory=DataFacts)
    last: dict[str, float | None] = field(default_factory=dict)  # metrics; None: not defined, as of no images
    best: dict[str, float | None] = field(default_factory=dict)  # on the validation images, with its epoch
    kept: dict[str, float | None] = field(default_factory=dict)  # of best.ckpt: its figure, epoch, iteration
    tested: str = "last"  # whose weights the test and weights.safetensors are of: last or best
    objective: dict[str, Any] = field(default_factory=dict)
    hyperparameters: dict[str, object] = field(default_factory=dict)  # what a module or a callback logged
    protocol: str | None = None
    batch_norm: BatchNorm = field(default_factory=BatchNorm)
    cost: Cost = field(default_factory=Cost)
    numerics: dict[str, Any] = field(default_factory=dict)  # what else decides the bits of the result
    environment: Environment = field(default_factory=Environment)
    started: str | None = None  # ISO 8601
    finished: str | None = None
    resumes: int = 0
    resumed_from: list[int] = field(default_factory=list)  # iterations of the checkpoints that led here
    # The iteration at which a callback of the user's ended training; whether one put other weights into the
    # checkpoints, and so into the test, than were trained; whether one changed them later, which is not tested; the
    # names of those that begin anew with a resume.
    stopped_early_at: int | None = None
    weights_of_a_callback: bool = False
    changed_after_training: bool = False
    without_state: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)  # a digest of each file that the run left
    error: Failure | None = None

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a ``record.json``; ValueError says which key is wrong, and how."""
        found = json.loads(text)
        if not isinstance(found, dict) or "state" not in found:
            raise ValueError("it is not a record")
        schema = found.get("schema", SCHEMA)
        if schema not in range(1, SCHEMA + 1):
            raise ValueError(f"its schema is {schema!r}: this version of resnet-lab reads 1 to {SCHEMA}")
        if found.get("digest", _digest(found)) != _digest(found):
            raise ValueError("it is damaged, or was edited: its digest is another")
        record: Self = _typed(cls, found, "")
        record.check()
        return record

    def to_json(self) -> str:
        """Write the record with a digest of all that it says."""
        facts = asdict(self)
        return json.dumps(facts | {"digest": _digest(facts)}, indent=2) + "\n"

    def check(self) -> None:
        """Raise ValueError for the first figure that no run leaves, or that is not there."""
        try:
            allowed.check(self)
        except UserError as error:
            raise ValueError(str(error)) from None
        for part, metrics in (("last", self.last), ("best", self.best), ("kept", self.kept)):
            for name, value in metrics.items():
                rate = name.rpartition("/")[2] in RATES
                if rate and value is not None and not 0 <= value <= 100:
                    raise ValueError(f"{part}.{name}={value}: must be from 0 to 100")
        if self.tested not in ("last", "best"):
            raise ValueError(f"tested={self.tested}: must be last or best")
        needed: Mapping[str, object] = {"error": self.error}
        if self.state == State.FINISHED:
            needed = {
                "last.iteration": self.last.get("iteration"),
                "config": self.config or None,
                "cost.train_seconds": self.cost.train_seconds,
                "seed": self.seed,
            }
        elif self.state != State.FAILED:
            raise ValueError(f"state={self.state}: must be finished or failed")
        for key, fact in needed.items():
            if fact is None:
                raise ValueError(f"it has no {key}")


def _digest(facts: Mapping[str, object]) -> str:
    said = {key: value for key, value in facts.items() if key != "digest"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def known(part: Any) -> dict[str, object]:
    """Return the fields of a record's part that have a value."""
    return {name: value for name, value in asdict(part).items() if value not in (None, [])}


def _typed(hint: Any, value: Any, key: str) -> Any:
    """Return a value of JSON as its annotation has it; ValueError names its key."""
    container, inner = get_origin(hint), get_args(hint)
    if container is UnionType:
        return None if value is None else _typed(inner[0], value, key)
    if container is list:
        return [_typed(inner[0], each, key) for each in _typed(list, [] if value is None else value, key)]
    if container is dict:
        items = _typed(dict, {} if value is None else value, key)
        if inner[1] in (Any, object):
            return items
        return {name: _typed(inner[1], each, f"{key}.{name}") for name, each in items.items()}
    if is_dataclass(hint) and isinstance(hint, type):
        return hint() if value is None else _part(hint, _typed(dict, value, key), key)
    if hint is State:
        if value not in list(State):
            raise ValueError(f"{key}={value!r} is not a state")
        return State(value)
    if hint is float and type(value) in (int, float) and math.isfinite(value):
        return value
    if type(value) is not hint or hint is float:
        text = repr(value)
        raise ValueError(f"{key}={text if len(text) <= 40 else text[:40] + '…'} is not a {WORDS[hint]}")
    return value


def _part(kind: type, given: Mapping[str, Any], key: str) -> Any:
    """Return a part of the record, from what is given of its fields."""
    known = {
        name: _typed(hint, given[name], f"{key}.{name}".lstrip("."))
        for name, hint in _hints(kind).items()
        if name in given
    }
    try:
        return kind(**known)
    except TypeError:
        lacking = [name for name in _hints(kind) if name not in given]
        raise ValueError(f"{key} has no {lacking[0]}") from None


WORDS = {
    int: "whole number",
    float: "number",
    str: "text",
    bool: "truth value",
    dict: "mapping",
    list: "list",
}


@cache
def _hints(kind: type) -> Mapping[str, Any]:
    return get_type_hints(kind)
