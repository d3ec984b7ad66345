"""The choices that make a run, as a flat mapping: recipe.lr -> 0.1. Free of torch."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cache
from typing import Any, get_type_hints

from resnet_lab.config.identity import flatten, identity_part
from resnet_lab.config.schema import TrainConfig
from resnet_lab.models.description import ModelConfig, resolve

Choices = Mapping[str, Any]


def complete(config: Mapping[str, Any]) -> dict[str, Any]:
    """A nested configuration by dotted key; what it leaves to the schema or to the family is written out."""
    return {**_schema()[0], **flatten(config), **flatten({"model": resolve(model_of(config))})}


def model_of(config: Mapping[str, Any]) -> ModelConfig:
    """The net's description, without keys that this version does not know."""
    known = {field.name for field in fields(ModelConfig)}
    return ModelConfig(**{key: value for key, value in config["model"].items() if key in known})


def but_for_the_seed(choices: Choices) -> dict[str, Any]:
    """What the runs of one group share: every choice that can change the result but the seed; hashable."""
    local = _schema()[1]
    shared = {key: value for key, value in choices.items() if key not in local and key != "seed"}
    return {key: tuple(value) if isinstance(value, list) else value for key, value in shared.items()}


def differing(groups: Iterable[Choices]) -> list[str]:
    """The keys in which these choices are not all the same, sorted."""
    seen = [but_for_the_seed(choices) for choices in groups]
    keys = {key for choices in seen for key in choices}
    return sorted(key for key in keys if len({choices.get(key) for choices in seen}) > 1)


@cache
def _schema() -> tuple[dict[str, Any], frozenset[str]]:
    """The default of every key, and the keys that stay out of a run's identity; of every kind of data set."""
    types = get_type_hints(TrainConfig)
    defaults: dict[str, Any] = {}
    shared: set[str] = set()
    for data in (types["data"], *types["data"].__subclasses__()):
        config = TrainConfig(data=data(), model=types["model"](), recipe=types["recipe"]())
        defaults |= flatten(config)
        shared |= identity_part(config).keys()
    return defaults, frozenset(defaults.keys() - shared)
