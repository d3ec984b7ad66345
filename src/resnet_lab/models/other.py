"""A net of any other kind: the dotted path of what makes it and its arguments; made, and tried on two images.

Which targets may be named at all is asked before anything here is called (`resnet_lab.config.own_code`). Free of torch
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
from resnet_lab.models.description import ModelConfig
from resnet_lab.models.net_config import NetConfig, Shape
from resnet_lab.targets import called, locate, made

if TYPE_CHECKING:
    from torch import nn

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
        words = [self._name, *(f"{key}_{_short(value)}" for key, value in self._named_args.items())]
        return re.sub(r"[^A-Za-z0-9_-]+", "_", "-".join(words)).strip("_")[:LABEL_LENGTH]

    @property
    def kind(self) -> str:
        said = ", ".join(f"{key}={_short(value)}" for key, value in self._named_args.items())
        return f"{self._name} ({said})" if said else self._name

    @property
    def begins_trained(self) -> bool:
        return super().begins_trained or any(self.args.get(key) for key in ("weights", "pretrained"))

    @property
    def trained_head(self) -> str | None:
        return self.head

    @property
    def fresh_head(self) -> str | None:
        return f"{self.head}." if self.reset_head else None

    def without_weights(self) -> Self:
        return replace(self, weights=None, reset_head=False)

    def make(self) -> "nn.Module":
        from torch import nn

        given = made(self.args, "model.args")
        if self.classes_as is not None:
            given[self.classes_as] = self.num_classes
        if self.channels_as is not None:
            given[self.channels_as] = self.in_channels
        net = called(f"{TARGET}={self._target_}", locate(self._target_, TARGET), **given)
        if not isinstance(net, nn.Module):
            raise UserError(f"{TARGET}={self._target_} gives {type(net).__name__}: an nn.Module is needed")
        names = [name for name, _ in net.named_modules() if name]
        if self.head is not None and self.head not in names:
            close = nearest(self.head, names) or (names[-1] if names else None)
            raise UserError(f"model.head={self.head}: the net has no such module; did you mean {close!r}?")
        return net

    def check(self, shape: Shape | None = None, classes: int | None = None, *, free: bool = False) -> Self:
        """Make the net and call it once, where it lets itself on the meta device, and return it with its scores."""
        assert shape is not None
        assert classes is not None
        channels = shape[0] if self.in_channels is None else self.in_channels
        net = replace(self, in_channels=channels, num_classes=self.num_classes or classes)
        if channels != shape[0]:
            return net
        if not net._target_:
            raise UserError(
                f"{TARGET} is needed: the dotted path of the network, for example torchvision.models.densenet121"
            )
        if net.reset_head and (net.head is None or net.weights is None):
            raise UserError(
                "model.reset_head needs model.weights, and model.head, the module that starts afresh"
            )
        if net.weights is not None and not Path(net.weights).expanduser().exists():
            raise UserError(f"model.weights={net.weights}: no such file or run folder")
        key = repr((net, shape))
        if key not in _TRIED:
            _TRIED[key] = net._tried(shape)
        return replace(net, num_classes=classes if free else net._scores(_TRIED[key], shape, classes))

    def outline(self, shape: Shape) -> "nn.Module":
        import torch

        bare = self.without_weights()
        try:
            with torch.device("meta"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                net = bare.make()
                self._output(net, shape)
            return net
        except Exception:  # whatever it is: the CPU has the last word, and the better words
            with torch.random.fork_rng(devices=[]):
                return bare.make()

    def _scores(self, output: tuple[int, ...] | str, shape: Shape, classes: int) -> int:
        """Return the number of scores in an output. Raises UserError for any other than (2, classes at least)."""
        if isinstance(output, str) or len(output) != 2 or output[0] != 2:
            size = "x".join(map(str, shape))
            raise UserError(
                f"{self.label} gives {output} for 2 images of {size}: scores of shape (2, classes) are needed"
            )
        if output[1] < classes:
            way = "say in model.classes_as which argument takes their number"
            raise UserError(
                f"{self.label} gives {output[1]} scores an image, and the data have {classes} classes: "
                + (way if self.classes_as is None else "all are needed")
            )
        return output[1]

    def _tried(self, shape: Shape) -> tuple[int, ...] | str:
        import torch

        with torch.random.fork_rng(devices=[]):
            return self._output(self.outline(shape), shape)

    def _output(self, net: "nn.Module", shape: Shape) -> tuple[int, ...] | str:
        """Return the shape of what the net gives for two images, or its type. Raises UserError if it fails."""
        import torch

        first = next(net.parameters(), None)
        if first is None:
            raise UserError(f"{self.label} has no parameters to train")
        size = "x".join(map(str, shape))
        given: object = None
        for training in (True, False):
            with torch.no_grad():
                images = torch.zeros(2, *shape, device=first.device)
                given = called(f"{self.label} for images of {size}", net.train(training), images)
        net.train()
        return tuple(given.shape) if isinstance(given, torch.Tensor) else type(given).__name__

    @property
    def _name(self) -> str:
        """Return the name of its YAML file, or the last part of its target if there is none."""
        return self.name or self._target_.rpartition(".")[2]

    @property
    def _named_args(self) -> Mapping[str, Any]:
        return {key: self.args[key] for key in self.told if key in self.args}


_TRIED: dict[str, tuple[int, ...] | str] = {}  # outputs, by net and shape


def kind_of(said: Any) -> type[NetConfig]:
    """Return the kind of net whose choices these are, as a file has them."""
    return OtherConfig if "_target_" in said else ModelConfig


def _short(value: Any) -> str:
    if isinstance(value, Mapping) and "_target_" in value:
        return str(value["_target_"]).rpartition(".")[2]
    return f"{value:g}" if isinstance(value, float) else str(value)
