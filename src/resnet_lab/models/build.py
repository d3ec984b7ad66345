"""From a name or a description to a net. Free of torch at import."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from resnet_lab.models.checks import check
from resnet_lab.models.description import Net, family_of
from resnet_lab.models.names import named

if TYPE_CHECKING:
    from torch import nn


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


def build(net: Net) -> "nn.Module":
    """The net of a description that was checked: (N, in_channels, H, W) -> logits (N, num_classes).

    Newly initialised, or with its weights where the description names some. Raises UserError where they cannot be had
    or do not fit.
    """
    from resnet_lab.models.resnet import ResNet
    from resnet_lab.models.weights import load_weights

    assert net.in_channels is not None
    assert net.num_classes is not None
    model = ResNet(net, net.in_channels, net.num_classes)
    if net.weights is not None:
        load_weights(model, net)
    return model
