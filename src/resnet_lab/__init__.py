"""Deep residual networks as experiments: a run is a folder, a sweep is many, a report reads them.

In Python: `train`, `sweep`, `load` and the `Run` that they return. Importing this package loads nothing heavy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resnet_lab.api import Run, load, sweep, train

__all__ = ["Run", "load", "sweep", "train"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("resnet_lab.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
