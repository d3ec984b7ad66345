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

    _target_: str = ""  # as torchvision.models.densenet121
    # Handed on; a mapping with a _target_ of its own is made first, with _partial_: true a function of the rest.
    args: dict[str, Any] = field(default_factory=dict)
    classes_as: str | None = "num_classes"  # the argument that takes the number of classes; None: none does
    channels_as: str | None = None  # the argument that takes the images' channels
    head: str | None = (
        None  # the module that recipe.freeze=backbone trains; None: the last fully connected layer
    )
    weights: str | None = path(None)  # a run folder or a file with weights of this very net
    reset_head: bool = False  # of the weights all but those of the head are taken
    # Filled in when composed: the name of its YAML file, and the arguments that are not as that file has them.
    name: str | None = field(default=None, metadata={"identity": False})
    told: list[str] = field(default_factory=list, metadata={"identity": False})


def name_of(config: OtherConfig) -> str:
    """That of its YAML file, or, of one that was made otherwise, the last part of its target."""
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
