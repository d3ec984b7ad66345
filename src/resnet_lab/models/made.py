"""A net, whichever kind it is of, checked and made. Free of torch at import."""

from dataclasses import replace
from typing import TYPE_CHECKING

from resnet_lab.models import build as residual
from resnet_lab.models import checks, other_made
from resnet_lab.models.description import Net, NetConfig
from resnet_lab.models.nets import asked, ours, resolved, without_weights
from resnet_lab.models.other import OtherConfig
from resnet_lab.models.other_made import Shape
from resnet_lab.models.published import variant

if TYPE_CHECKING:
    from torch import nn


def completed(config: NetConfig, shape: Shape, classes: int, *, free: bool = False) -> NetConfig:
    """The net for images of this shape and so many classes, with what they decide filled in.

    Raises UserError for a net that cannot be, makes no sense, or does not take such images; `free`: what it gives for
    them is the business of the run's own module.
    """
    net = config if isinstance(config, OtherConfig) else checks.check(asked(config), shape[1], shape[2])
    net = replace(
        net,
        in_channels=shape[0] if config.in_channels is None else config.in_channels,
        num_classes=classes if config.num_classes is None else config.num_classes,
    )
    if isinstance(net, OtherConfig) and net.in_channels == shape[0]:
        net = replace(net, num_classes=other_made.check(net, shape, classes, free=free))
    return net


def check(config: NetConfig, shape: Shape) -> None:
    """Raises UserError where a net does not take images of this shape."""
    if isinstance(config, OtherConfig):
        other_made.check(config, shape, 1)
    else:
        checks.check(ours(config), shape[1], shape[2])


def build(config: NetConfig) -> "nn.Module":
    """The net, newly initialised or with its weights: (N, in_channels, H, W) -> (N, num_classes). Raises UserError."""
    return other_made.build(config) if isinstance(config, OtherConfig) else residual.build(ours(config))


def outline(config: NetConfig, shape: Shape) -> "nn.Module":
    """The net without weights, on the meta device where it works there: to be counted, not trained."""
    if isinstance(config, OtherConfig):
        return other_made.outline(config, shape)
    import torch

    with torch.device("meta"):
        return build(without_weights(config))


def has_published_weights(config: NetConfig) -> bool:
    """Whether it names weights that may have to be fetched."""
    return (
        config.weights is not None and isinstance(net := resolved(config), Net) and variant(net) is not None
    )
