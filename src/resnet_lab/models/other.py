"""A net of any other kind, in words: the dotted path of what makes it, and its arguments. Free of torch."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from resnet_lab.fields import path
from resnet_lab.models.description import NetConfig

LABEL_LENGTH = 80  # characters; the hash tells folders apart, not their length


@dataclass
class OtherConfig(NetConfig):
    """A net by the dotted path of what makes it: a class or function of keyword arguments that gives an nn.Module."""

    # dotted path of a class or function that returns an nn.Module, for example torchvision.models.densenet121
    _target_: str = ""
    # its arguments; a mapping with a _target_ is made first, or passed as a function with _partial_: true
    args: dict[str, Any] = field(default_factory=dict)
    # the argument that takes the number of classes; null: none
    classes_as: str | None = "num_classes"
    # the argument that takes the number of channels; null: none
    channels_as: str | None = None
    # the module that recipe.freeze=backbone trains; null: the last fully connected layer
    head: str | None = None
    # a run folder or a file with weights of the same model
    weights: str | None = path(None)
    # load all weights but those of the head
    reset_head: bool = False
    # name of the YAML file; filled in automatically
    name: str | None = field(default=None, metadata={"identity": False})
    # arguments that differ from the YAML file; filled in automatically
    told: list[str] = field(default_factory=list, metadata={"identity": False})


def name_of(config: OtherConfig) -> str:
    """Return the name of its YAML file, or the last part of its target if there is none."""
    return config.name or config._target_.rpartition(".")[2]


def label(config: OtherConfig) -> str:
    """A short readable name of letters, digits, - and _: densenet-drop_rate_0_1."""
    words = [name_of(config), *(f"{key}_{_short(value)}" for key, value in _told(config).items())]
    return re.sub(r"[^A-Za-z0-9_-]+", "_", "-".join(words)).strip("_")[:LABEL_LENGTH]


def kind(config: OtherConfig) -> str:
    """What a table calls it: densenet, densenet (drop_rate=0.1)."""
    said = ", ".join(f"{key}={_short(value)}" for key, value in _told(config).items())
    return f"{name_of(config)} ({said})" if said else name_of(config)


def _told(config: OtherConfig) -> dict[str, Any]:
    return {key: config.args[key] for key in config.told if key in config.args}


def _short(value: Any) -> str:
    if isinstance(value, Mapping) and "_target_" in value:
        return str(value["_target_"]).rpartition(".")[2]
    return f"{value:g}" if isinstance(value, float) else str(value)
