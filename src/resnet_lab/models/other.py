"""A net of any other kind: the dotted path of what makes it and its arguments; made, and tried on two images.

Which targets may be named at all is asked before anything here is called (`resnet_lab.config.targets`). Free of torch
at import.
"""

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from resnet_lab.errors import UserError, nearest
from resnet_lab.fields import path
from resnet_lab.models.description import ModelConfig, NetConfig
from resnet_lab.targets import called, locate, made

if TYPE_CHECKING:
    from torch import nn

Shape = tuple[int, int, int]  # (C, H, W)
TARGET = "model._target_"
LABEL_LENGTH = 80  # characters; the hash tells folders apart, not their length


@dataclass
class OtherConfig(NetConfig):
    """A net by the dotted path of what makes it: a class or function of keyword arguments that gives an nn.Module."""

    translated: ClassVar[bool] = False

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

    @property
    def label(self) -> str:
        words = [self._name, *(f"{key}_{_short(value)}" for key, value in self._told.items())]
        return re.sub(r"[^A-Za-z0-9_-]+", "_", "-".join(words)).strip("_")[:LABEL_LENGTH]

    @property
    def kind(self) -> str:
        said = ", ".join(f"{key}={_short(value)}" for key, value in self._told.items())
        return f"{self._name} ({said})" if said else self._name

    @property
    def begins_trained(self) -> bool:
        return super().begins_trained or any(self.args.get(key) for key in ("weights", "pretrained"))

    @property
    def trained_head(self) -> str | None:
        return self.head

    def without_weights(self) -> Self:
        return replace(self, weights=None, reset_head=False)

    @property
    def _name(self) -> str:
        """Return the name of its YAML file, or the last part of its target if there is none."""
        return self.name or self._target_.rpartition(".")[2]

    @property
    def _told(self) -> dict[str, Any]:
        return {key: self.args[key] for key in self.told if key in self.args}


def kind_of(said: Any) -> type[NetConfig]:
    """Return the kind of net whose choices these are, as a file has them."""
    return OtherConfig if "_target_" in said else ModelConfig


def _short(value: Any) -> str:
    if isinstance(value, Mapping) and "_target_" in value:
        return str(value["_target_"]).rpartition(".")[2]
    return f"{value:g}" if isinstance(value, float) else str(value)


def make(config: OtherConfig) -> "nn.Module":
    """The net with its weights, where it names some. Raises UserError where it cannot be made, or they do not fit."""
    from torch import nn

    from resnet_lab.models.weights import load_state, read_exactly

    given = made(config.args, "model.args")
    if config.classes_as is not None:
        given[config.classes_as] = config.num_classes
    if config.channels_as is not None:
        given[config.channels_as] = config.in_channels
    net = called(f"{TARGET}={config._target_}", locate(config._target_, TARGET), **given)
    if not isinstance(net, nn.Module):
        raise UserError(f"{TARGET}={config._target_} gives {type(net).__name__}: an nn.Module is needed")
    if config.head is not None and config.head not in (
        names := [name for name, _ in net.named_modules() if name]
    ):
        close = nearest(config.head, names) or (names[-1] if names else None)
        raise UserError(f"model.head={config.head}: the net has no such module; did you mean {close!r}?")
    if config.weights is not None:
        source = Path(config.weights).expanduser()
        weights = read_exactly(source, net.state_dict())
        load_state(net, weights, str(source), head=f"{config.head}." if config.reset_head else None)
    return net


def check(config: OtherConfig, shape: Shape, classes: int, *, free: bool = False) -> int:
    """The scores that the net gives an image of this shape, for so many classes at least; it is made and called once.

    Nothing is computed where the net lets itself be tried without. Raises UserError for a target that cannot be
    imported or made, an argument that it does not take, and a net that gives anything but (N, classes), unless the
    run's module is `free` to use whatever it gives.
    """
    if not config._target_:
        raise UserError(
            f"{TARGET} is needed: the dotted path of the network, for example torchvision.models.densenet121"
        )
    if config.reset_head and (config.head is None or config.weights is None):
        raise UserError("model.reset_head needs model.weights, and model.head, the module that starts afresh")
    if config.weights is not None and not Path(config.weights).expanduser().exists():
        raise UserError(f"model.weights={config.weights}: no such file or run folder")
    key = repr((config, shape))
    if key not in _TRIED:
        _TRIED[key] = _tried(config, shape)
    gives = _TRIED[key]
    if free:
        return classes
    if isinstance(gives, str) or len(gives) != 2 or gives[0] != 2:
        size = "x".join(map(str, shape))
        raise UserError(
            f"{config.label} gives {gives} for 2 images of {size}: scores of shape (2, classes) are needed"
        )
    given = gives[1]
    if given < classes:
        way = (
            "say in model.classes_as which argument takes their number"
            if config.classes_as is None
            else "all are needed"
        )
        raise UserError(
            f"{config.label} gives {given} scores an image, and the data have {classes} classes: {way}"
        )
    return given


_TRIED: dict[str, tuple[int, ...] | str] = {}


def outline(config: OtherConfig, shape: Shape) -> "nn.Module":
    """The net on the meta device, where it costs no memory and no time; on the CPU where it does not work there.

    Its weights are not read. Raises UserError where it works nowhere.
    """
    import torch

    bare = config.without_weights()
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            net = make(bare)
            _output(net, config, shape)
        return net
    except Exception:  # whatever it is: the CPU has the last word, and the better words
        with torch.random.fork_rng(devices=[]):
            return make(bare)


def _tried(config: OtherConfig, shape: Shape) -> tuple[int, ...] | str:
    import torch

    with torch.random.fork_rng(devices=[]):
        return _output(outline(config, shape), config, shape)


def _output(net: "nn.Module", config: OtherConfig, shape: Shape) -> tuple[int, ...] | str:
    """Return the shape of what the net gives for two images in a test, or its type. Raises UserError if it fails."""
    import torch

    first = next(net.parameters(), None)
    if first is None:
        raise UserError(f"{config.label} has no parameters to train")
    size = "x".join(map(str, shape))
    given: object = None
    for training in (True, False):
        with torch.no_grad():
            images = torch.zeros(2, *shape, device=first.device)
            given = called(f"{config.label} for images of {size}", net.train(training), images)
    net.train()
    return tuple(given.shape) if isinstance(given, torch.Tensor) else type(given).__name__
