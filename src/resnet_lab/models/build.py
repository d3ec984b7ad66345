"""From a name or a description to a net. Free of torch at import."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from resnet_lab.errors import UserError
from resnet_lab.models.checks import check
from resnet_lab.models.description import ModelConfig, family_of
from resnet_lab.models.names import named

if TYPE_CHECKING:
    from torch import nn


def create_model(name: str, **choices: Any) -> "nn.Module":
    """The net of this name, with any field of ModelConfig changed: create_model("resnet34", shortcut="C").

    Channels default to 3 and classes to 10 (small images) or 1000. Raises UserError for an unknown name or
    choice, for a combination that makes no sense, and for weights that do not fit.
    """
    config = named(name, **choices)
    config = replace(
        config,
        in_channels=3 if config.in_channels is None else config.in_channels,
        num_classes=family_of(config).classes if config.num_classes is None else config.num_classes,
    )
    return build(config)


def build(config: ModelConfig) -> "nn.Module":
    """The net that `config` describes: (N, in_channels, H, W) -> logits (N, num_classes).

    Newly initialised, or with its weights where the description names some. Raises UserError where the
    description cannot be or makes no sense, or leaves channels or classes open.
    """
    from resnet_lab.models.resnet import ResNet
    from resnet_lab.models.weights import load_weights

    description = check(config)
    if config.in_channels is None or config.num_classes is None:
        raise UserError(
            "model.in_channels and model.num_classes are open: give both, or take a net by its name"
        )
    net = ResNet(description, config.in_channels, config.num_classes)
    if config.weights is not None:
        load_weights(net, config)
    return net
