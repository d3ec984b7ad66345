"""What makes a run the run it is: the choices that can change its result. Free of torch."""

import hashlib
import json
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from typing import Any

from resnet_lab.config.schema import TrainConfig
from resnet_lab.models.description import resolve


def identity_part(config: TrainConfig) -> dict[str, Any]:
    """Every choice that can change the result, by its dotted key: all fields but those marked as local."""
    return as_asked(_written_out(config))


def as_asked(config: TrainConfig) -> dict[str, Any]:
    """The same, with what is left to the model's family still open."""
    return {key: value for key, value, _ in _leaves(config)}


def identity(config: TrainConfig) -> str:
    """8 hexadecimal digits over the choices that differ from their defaults.

    Defaults stay out, so that a field added later does not rename the runs made before it.
    """
    chosen = {key: value for key, value, default in _leaves(_written_out(config)) if value != default}
    text = json.dumps(chosen, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def differences(config: TrainConfig, other: TrainConfig) -> list[str]:
    """The identity's keys in which two configurations differ, as ``recipe.lr: 0.1 is not 0.2``."""
    ours, theirs = identity_part(config), identity_part(other)
    absent = "absent"
    return [
        f"{key}: {ours.get(key, absent)} is not {theirs.get(key, absent)}"
        for key in sorted(ours | theirs)
        if ours.get(key, absent) != theirs.get(key, absent)
    ]


def _written_out(config: TrainConfig) -> TrainConfig:
    """What the model's family decides, written out: saying the usual does not make another run."""
    return replace(config, model=resolve(config.model))


def _leaves(config: Any, prefix: str = "") -> list[tuple[str, Any, Any]]:
    """(dotted key, value, default) of every field that is not local, of nested dataclasses too."""
    found: list[tuple[str, Any, Any]] = []
    for field in fields(config):
        if not field.metadata.get("identity", True):
            continue
        key, value = f"{prefix}{field.name}", getattr(config, field.name)
        if is_dataclass(value):
            found += _leaves(value, f"{key}.")
        else:
            found.append((key, value, _default(field)))
    return found


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()
