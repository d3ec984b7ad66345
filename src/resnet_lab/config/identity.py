"""What makes a run the run it is: the choices that can change its result. Free of torch."""

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from resnet_lab.config.schema import HARMLESS, TrainConfig
from resnet_lab.data.spec import DataConfig
from resnet_lab.fields import flatten
from resnet_lab.models.description import unasked
from resnet_lab.training.recipes import RecipeConfig


def local_beginnings(flat: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what the keys of a flat configuration begin with that no schema knows and that change no result."""
    flags = _saying_so(tuple(flat))
    harmless = (f"trainer.extra.{name}" for name in HARMLESS)
    return (
        "metrics.",
        *harmless,
        *flags,
        *(key.removesuffix("identity") for key in flags if flat[key] is False),
    )


@cache
def _saying_so(keys: tuple[str, ...]) -> tuple[str, ...]:
    """Return the `identity` flags next to a `_target_` among these keys."""
    named = {key.removesuffix("_target_") for key in keys if key.endswith("_target_")}
    return tuple(key for key in keys if key.endswith(".identity") and key.removesuffix("identity") in named)


def identity_part(config: TrainConfig) -> dict[str, object]:
    """Return every choice that can change the result, by its dotted key: all fields but those marked as local.

    Of a path to weights the digest of what is there counts, which `sources` holds.
    """
    return {key: value for key, value in flatten(config, local=False).items() if key not in config.sources}


def chosen(config: TrainConfig) -> str:
    """Return what the identity is made of: the choices that differ from their defaults, as one line of JSON.

    Defaults stay out, so that a field added later does not rename the runs made before it.
    """
    usual = _usual(type(config.data))  # type: ignore[arg-type]  # mypy asks for its instances' hash
    choices = {
        key: value for key, value in identity_part(config).items() if key not in usual or value != usual[key]
    }
    return json.dumps(choices, sort_keys=True, separators=(",", ":"))


def identity(config: TrainConfig) -> str:
    """8 hexadecimal digits over what is `chosen`."""
    return hash_of(chosen(config))


def hash_of(choices: str) -> str:
    """Return the identity of what was `chosen`."""
    return hashlib.sha256(choices.encode()).hexdigest()[:8]


def path_of(config: TrainConfig) -> Path:
    """Return where a run lies: ``runs_root/name/<label>-s<seed>-<hash>``, unless `run_dir` says otherwise."""
    if config.run_dir is not None:
        return Path(config.run_dir)
    readable = f"{config.model.label}-s{config.seed}-{identity(config)}"
    return Path(config.runs_root) / config.name / readable


def differences(config: TrainConfig, other: TrainConfig) -> list[str]:
    """Return the identity's keys in which two configurations differ, for example ``recipe.lr: 0.1 is not 0.2``."""
    ours, theirs = identity_part(config), identity_part(other)
    absent = "absent"
    return [
        f"{key}: {ours.get(key, absent)} is not {theirs.get(key, absent)}"
        for key in sorted(ours | theirs)
        if ours.get(key, absent) != theirs.get(key, absent)
    ]


def edited(config: TrainConfig, before: str) -> list[str]:
    """Return what differs from a line that `chosen` once gave. Raises ValueError for any other line."""
    earlier, now = json.loads(before), json.loads(chosen(config))
    if not isinstance(earlier, dict):
        raise ValueError("no choices")
    written_out = identity_part(config)
    return [
        f"{key}: {written_out.get(key, 'absent')} is not {earlier.get(key, 'the default')}"
        for key in sorted({*earlier, *now})
        if earlier.get(key) != now.get(key)
    ]


@cache
def _usual(data: Callable[[], DataConfig]) -> dict[str, object]:
    """Return the defaults."""
    return identity_part(TrainConfig(data(), unasked(), RecipeConfig()))
