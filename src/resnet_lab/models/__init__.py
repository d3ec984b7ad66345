"""The networks: a unit is a branch and a shortcut, a model a description that names them. Free of torch."""

from resnet_lab.models.build import build, create_model
from resnet_lab.models.checks import check
from resnet_lab.models.description import ModelConfig, Net, kind, label, resolve
from resnet_lab.models.names import list_models, named

__all__ = [
    "ModelConfig",
    "Net",
    "build",
    "check",
    "create_model",
    "kind",
    "label",
    "list_models",
    "named",
    "resolve",
]
