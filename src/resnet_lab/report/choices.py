"""Read the choices that make a run as a flat mapping: recipe.lr -> 0.1. Free of torch."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from functools import cache
from itertools import product
from typing import Any, get_type_hints

from resnet_lab.columns import value_word
from resnet_lab.config.identity import identity_part, local_beginnings
from resnet_lab.config.schema import TrainConfig
from resnet_lab.data.spec import KINDS as DATA_KINDS
from resnet_lab.fields import flatten
from resnet_lab.models.description import ModelConfig
from resnet_lab.models.net_config import NetConfig
from resnet_lab.models.other import OtherConfig, kind_of
from resnet_lab.runs.record import Record

Choices = Mapping[str, Any]

# Outside a run's identity, as they change rounding, or how many images a batch-norm statistic sees; never pooled.
CONDITIONS = (
    "trainer.devices",
    "trainer.accelerator",
    "trainer.threads",
    "trainer.compile",
    "trainer.deterministic",
    "batch_norm.images",
    "data.root",
)

FOLD = "data.fold"  # of a cross-validation: its parts are replicas, as seeds are
ATOMS = (str, int, float, bool, type(None))

# What a configuration comes to, by how it is written; but for the seed.
_COMPLETED: dict[str, dict[str, object]] = {}


def complete(config: Mapping[str, Any], record: Record | None = None) -> dict[str, Any]:
    """Return a configuration by dotted key, with defaults; conditions that the record has replace those asked for."""
    shared = {key: value for key, value in config.items() if key != "seed"}
    text = repr(shared)
    if text not in _COMPLETED:  # the seeds of a sweep share it
        net = model_of(config)
        ours = {key: value for key, value in _schema()[0].items() if not key.startswith("model.")}
        _COMPLETED[text] = {**ours, **flatten(shared), **flatten({"model": net})}
        if extends := _COMPLETED[text].get("extends"):  # its run's hash has the seed; the length is shared
            _COMPLETED[text]["extends"] = str(extends).partition("@")[2]
    choices = _COMPLETED[text]
    return {**choices, "seed": config["seed"], **_as_computed(config, choices, record or Record())}


def _as_computed(config: Mapping[str, Any], choices: Choices, record: Record) -> dict[str, object]:
    """Return CONDITIONS, all devices of all nodes counted; None where it is not known, or makes no difference."""
    cost = record.cost
    asked = choices["trainer.devices"], choices["trainer.num_nodes"]
    devices = math.prod(asked) if all(type(count) is int and count > 0 for count in asked) else None
    trained_on: list[int | None] = list(cost.trained_on) or [cost.devices or devices]
    on_cpu = "cpu" if choices["trainer.accelerator"] == "cpu" else None  # "gpu" does not tell which
    accelerator = cost.accelerator or on_cpu
    threads = _in_turn(cost.threads_in_turn or [cost.threads or choices["trainer.threads"]])
    folder_of_images = "crop" in config["data"] and not choices.get("data.fingerprint")
    return {
        "trainer.devices": _in_turn(trained_on),
        "trainer.accelerator": accelerator,
        "trainer.threads": threads if accelerator in ("cpu", None) else None,
        "batch_norm.images": record.batch_norm.images,
        "data.root": choices["data.root"] if folder_of_images else None,
    }


def _in_turn(counts: Sequence[int | None]) -> int | str | None:
    return ", then ".join(map(str, counts)) if len(counts) > 1 else counts[0]


def conditions(choices: Choices) -> dict[str, object]:
    """Return the conditions that are known."""
    return {key: choices[key] for key in CONDITIONS if choices.get(key) is not None}


def model_of(config: Mapping[str, Any]) -> NetConfig:
    """Return the network, without keys that this version does not know. Runs share it: do not change it."""
    return _net(json.dumps(config["model"]))


@cache
def _net(written: str) -> NetConfig:
    given = json.loads(written)
    kind = kind_of(given)
    known = {field.name for field in fields(kind)}
    return kind(**{key: value for key, value in given.items() if key in known}).resolved()


def but_for_the_seed(choices: Choices) -> dict[str, object]:
    """Return what the runs of one group share, hashable: every choice that can change the result but the seed."""
    return {key: _frozen(choices[key]) for key in _shared(tuple(choices), local_beginnings(choices))}


@cache
def _shared(keys: tuple[str, ...], beginnings: tuple[str, ...]) -> tuple[str, ...]:
    """Return the keys that can change a result, without the seed. Cached, because most runs have the same keys."""
    local = _schema()[1].union(CONDITIONS, {"seed", FOLD})
    there = set(keys)  # of a path to weights the digest of what is there counts
    return tuple(
        key
        for key in keys
        if key not in local and not key.startswith(beginnings) and f"sources.{key}" not in there
    )


def differing(groups: Iterable[Choices]) -> list[str]:
    """Return the keys in which these choices differ, sorted; a condition that is not known does not differ."""
    every = list(groups)
    seen = [but_for_the_seed(choices) for choices in every]
    keys = {key for choices in seen for key in choices}
    found = {key for key in keys if len({choices.get(key) for choices in seen}) > 1}
    known = [conditions(choices) for choices in every]
    found |= {key for key in CONDITIONS if len({each[key] for each in known if key in each}) > 1}
    return sorted(found)


def shown(choices: Choices, key: str) -> str:
    """Return a choice as a table shows it; nothing for a condition that is not known."""
    value = choices.get(key)
    return "" if value is None and key in CONDITIONS else value_word(value)


def _frozen(value: Any) -> Any:
    if type(value) in ATOMS:
        return value
    if isinstance(value, Mapping):
        return tuple((key, _frozen(each)) for key, each in sorted(value.items()))
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


@cache
def _schema() -> tuple[dict[str, object], frozenset[str]]:
    """Return the default of every key, and the keys that stay out of a run's identity, for every kind of data set."""
    types = get_type_hints(TrainConfig)
    defaults: dict[str, object] = {}
    shared: set[str] = set()
    for data, model in product((types["data"], *reversed(DATA_KINDS)), (OtherConfig, ModelConfig)):
        config = TrainConfig(data=data(), model=model(), recipe=types["recipe"]())
        defaults |= flatten(config)
        shared |= identity_part(config).keys()
    return defaults, frozenset(defaults.keys() - shared)
