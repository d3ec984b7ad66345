"""The networks: a unit is a branch and a shortcut, a model a description that names them. Free of torch."""

from resnet_lab.models.blocks import Block
from resnet_lab.models.build import build, create_model
from resnet_lab.models.description import ModelConfig, Net
from resnet_lab.models.named import list_models, named
from resnet_lab.models.net_config import NetConfig
from resnet_lab.models.orders import Order
from resnet_lab.models.other import OtherConfig
from resnet_lab.models.shortcuts import Identity, Projection, Shortcut

__all__ = [
    "Block",
    "Identity",
    "ModelConfig",
    "Net",
    "NetConfig",
    "Order",
    "OtherConfig",
    "Projection",
    "Shortcut",
    "build",
    "create_model",
    "list_models",
    "named",
]
