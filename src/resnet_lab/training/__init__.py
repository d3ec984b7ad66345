"""Training and testing of any image classifier: recipes, the LightningModule, callbacks, protocols.

Importing this package costs nothing; torch and lightning load with the first of the names below.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from resnet_lab.training.recipes import RecipeConfig

if TYPE_CHECKING:
    from resnet_lab.training.classifier import Classifier, NonFiniteLoss

__all__ = ["Classifier", "NonFiniteLoss", "RecipeConfig"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("resnet_lab.training.classifier"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
