"""`local.yaml` of the working folder: what is so on this machine alone, and changes no result. Free of torch.

    runs_root: ~/runs
    logger: wandb
    data: {cifar10: {root: ~/data/cifar}, imagenet: {root: /data/imagenet, workers: 16}}
    hydra/launcher: slurm
    hydra.launcher: {partition: gpu}

The command line goes before it, and it before experiments and defaults. What stands under `data` is for that set.
"""

import json
from collections.abc import Collection
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from resnet_lab.config.groups import groups
from resnet_lab.config.schema import TrainConfig
from resnet_lab.data.spec import DataConfig
from resnet_lab.errors import UserError, unknown
from resnet_lab.fields import flatten, keys

FILE = Path("local.yaml")
GROUPS = ("logger", "metrics", "hydra/launcher")  # those whose options change no result, whichever is chosen
OF_A_RUN = ("name", "run_dir", "answers")  # local, but of one run and not of a machine
LAUNCHER = "hydra.launcher."


def settings(said: Collection[str]) -> list[str]:
    """Return the overrides of `local.yaml`, but for the keys and groups that were `said` on the command line.

    Raises UserError for what the file may not set.
    """
    return [f"{key}={value}" for key, value in _settings().items() if not _said(key, said)]


def with_local_data(data: DataConfig) -> DataConfig:
    """Return the data set with what `local.yaml` says of it, where nothing else says anything. Raises UserError."""
    own = of_data(data.name)
    usual = {each.name: each.default for each in fields(data)}
    allowed = [each.name for each in fields(data) if not each.metadata.get("identity", True)]
    for key in own:
        if key not in allowed:
            known = [f"data.{data.name}.{each}" for each in allowed]
            raise _not_local(f"data.{data.name}.{key}", known, may_be_said=key in usual)
    return replace(data, **{key: value for key, value in own.items() if getattr(data, key) == usual[key]})


def of_data(name: str) -> dict[str, Any]:
    """Return what the file says of a data set, by its name."""
    return dict(_content().get("data", {}).get(name, {}))


def _said(key: str, said: Collection[str]) -> bool:
    return key in said or (key.startswith(LAUNCHER) and "hydra/launcher" in said)


def _settings() -> dict[str, str]:
    """Key or group, and the value in Hydra's grammar, of all but the data sets."""
    found: dict[str, str] = {}
    for key, value in flatten({key: value for key, value in _content().items() if key != "data"}).items():
        if key in groups():
            if key not in GROUPS:
                raise UserError(f"{FILE}: {key}={value} may change a result: it belongs on the command line")
        elif not key.startswith(LAUNCHER) and key not in (allowed := _local_keys()):
            raise _not_local(key, [*dict.fromkeys((*GROUPS, *allowed))], may_be_said=key in keys(TrainConfig))
        found[key] = json.dumps(value, ensure_ascii=False)
    return found


def _not_local(key: str, allowed: list[str], *, may_be_said: bool) -> UserError:
    """`may_be_said`: on the command line."""
    if key in OF_A_RUN:
        return UserError(f"{FILE}: {key} is of one run, not of a machine: it belongs on the command line")
    if key.startswith("data.") and key in keys(TrainConfig):
        return UserError(f"{FILE}: {key} is of one data set: data: {{cifar10: {{{key[5:]}: …}}}}")
    if may_be_said:
        return UserError(
            f"{FILE}: {key} may change a result: it belongs on the command line or in an experiment"
        )
    return unknown(f"key of {FILE}", key, allowed)


def _content() -> dict[str, Any]:
    try:
        content = yaml.safe_load(FILE.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{FILE} cannot be read: {' '.join(str(error).split())}") from None
    data = content.get("data", {}) if isinstance(content, dict) else None
    if not isinstance(data, dict) or not all(isinstance(own, dict) for own in data.values()):
        raise UserError(
            f"{FILE}: key: value lines are needed, and below data a set's name, as {{cifar10: {{root: …}}}}"
        )
    return dict(content)


@cache
def _local_keys() -> tuple[str, ...]:
    """Return the keys that local.yaml may set for the whole machine."""
    return tuple(
        key
        for key, each in keys(TrainConfig).items()
        if each.local and key not in OF_A_RUN and not key.startswith(("data.", "model."))
    )
