"""From a name or a description to a net. Free of torch at import."""

from dataclasses import replace
from functools import singledispatch
from typing import TYPE_CHECKING, Any, TypeVar

from resnet_lab.errors import UserError
from resnet_lab.models import other
from resnet_lab.models.checks import check
from resnet_lab.models.description import ModelConfig, Net, NetConfig, family_of
from resnet_lab.models.names import named
from resnet_lab.models.other import OtherConfig, Shape
from resnet_lab.models.published import variant

if TYPE_CHECKING:
    from torch import nn

Config = TypeVar("Config", bound=NetConfig)


def create_model(name: str, **choices: Any) -> "nn.Module":
    """The net of this name, with any field of ModelConfig changed: create_model("resnet34", shortcut="C").

    Channels default to 3 and classes to 10 (small images) or 1000. Raises UserError for an unknown name or
    choice, for a combination that makes no sense, and for weights that do not fit.
    """
    return build(with_usual_ends(check(named(name, **choices))))


def with_usual_ends(net: Net) -> Net:
    """The net with 3 channels and the classes of its family, where it leaves them open."""
    return replace(
        net,
        in_channels=3 if net.in_channels is None else net.in_channels,
        num_classes=family_of(net).classes if net.num_classes is None else net.num_classes,
    )


@singledispatch
def build(net: NetConfig) -> "nn.Module":
    """Return the net of a description that was checked: (N, in_channels, H, W) -> scores (N, num_classes).

    Newly initialised, or with its weights where the description names some. Raises UserError where they cannot be had
    or do not fit.
    """
    raise UserError(f"model: {type(net).__name__} is no net")


build.register(OtherConfig)(other.make)


@build.register(Net)
def _residual(net: Net) -> "nn.Module":
    from resnet_lab.models.resnet import ResNet
    from resnet_lab.models.weights import load_weights

    assert net.in_channels is not None
    assert net.num_classes is not None
    model = ResNet(net, net.in_channels, net.num_classes)
    if net.weights is not None:
        load_weights(model, net)
    return model


@singledispatch
def completed(net: NetConfig, shape: Shape, classes: int, *, free: bool = False) -> NetConfig:  # noqa: ARG001
    """Return the net for images of this shape and so many classes, with what they decide filled in.

    Raises UserError for a net that cannot be, makes no sense, or does not take such images; `free`: what it gives for
    them is the business of the run's own module.
    """
    raise UserError(f"model: {type(net).__name__} is no net")


@completed.register(ModelConfig)
def _completed_residual(net: ModelConfig, shape: Shape, classes: int, *, free: bool = False) -> Net:  # noqa: ARG001
    return _with_ends(check(net, shape[1], shape[2]), shape, classes)


@completed.register(OtherConfig)
def _completed_other(net: OtherConfig, shape: Shape, classes: int, *, free: bool = False) -> OtherConfig:
    net = _with_ends(net, shape, classes)
    if net.in_channels != shape[0]:
        return net
    return replace(net, num_classes=other.check(net, shape, classes, free=free))


def _with_ends(net: Config, shape: Shape, classes: int) -> Config:
    return replace(
        net,
        in_channels=shape[0] if net.in_channels is None else net.in_channels,
        num_classes=classes if net.num_classes is None else net.num_classes,
    )


@singledispatch
def outline(net: NetConfig, shape: Shape) -> "nn.Module":  # noqa: ARG001
    """Return the net without weights, on the meta device where it works there: to be counted, not trained."""
    import torch

    with torch.device("meta"):
        return build(net.without_weights())


outline.register(OtherConfig)(other.outline)


@singledispatch
def has_published_weights(net: NetConfig) -> bool:  # noqa: ARG001
    """Return whether it names weights that may have to be fetched."""
    return False


@has_published_weights.register(ModelConfig)
def _has_published(net: ModelConfig) -> bool:
    return net.weights is not None and variant(net.resolved()) is not None
