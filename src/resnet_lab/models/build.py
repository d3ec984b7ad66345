"""From a name or a description to a net, with its weights. Free of torch at import."""

from typing import TYPE_CHECKING, Any

from resnet_lab.models.described import check_weights
from resnet_lab.models.description import ModelConfig
from resnet_lab.models.named import named
from resnet_lab.models.net_config import NetConfig, Shape

if TYPE_CHECKING:
    from torch import nn


def create_model(name: str, **choices: Any) -> "nn.Module":
    """Return the net of this name, with any field of ModelConfig changed: create_model("resnet34", shortcut="C").

    Channels default to 3 and classes to 10 (small images) or 1000. Raises UserError for an unknown name or
    choice, for a combination that makes no sense, and for weights that do not fit.
    """
    return build(completed(named(name, **choices)))


def completed(
    net: NetConfig, shape: Shape | None = None, classes: int | None = None, *, free: bool = False
) -> NetConfig:
    """Return the net that `NetConfig.check` gives. Raises UserError as that does, and for weights of another net."""
    if not isinstance(net, ModelConfig):
        return net.check(shape, classes, free=free)
    found = net.check(shape, classes)
    if net.weights is not None:
        check_weights(net, found)
    return found


def build(net: NetConfig) -> "nn.Module":
    """Return the net of a description that was checked: (N, in_channels, H, W) -> scores (N, num_classes).

    Newly initialised, or with its weights where the description names some. Raises UserError where they cannot be read
    or do not fit.
    """
    made = net.make()
    if net.weights is not None:
        from resnet_lab.models.weights import load_weights

        load_weights(made, net)
    return made
