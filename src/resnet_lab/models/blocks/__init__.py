"""The kinds of branch, one file each: a file's name is the value of `model.block`. Free of torch."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from resnet_lab.errors import UserError, unknown
from resnet_lab.targets import locate

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Block:
    """A branch: its convolutions in order, and how much wider than its stage it ends."""

    kernels: tuple[int, ...]  # side of each convolution's kernel, in pixels
    expansion: int = 1  # width out of the unit / width of its 3x3 convolutions
    # width -> what rescales the branch before the addition
    attention: "Callable[[int], nn.Module] | None" = None

    @property
    def layers(self) -> int:
        """Weighted layers of one unit, as the papers count depth."""
        return len(self.kernels)


def names() -> list[str]:
    """Return the values of `model.block`: the files of this folder."""
    return sorted(module.name for module in iter_modules(__path__))


def load(name: str) -> Block:
    """Return the block of this name or dotted path; raises UserError when there is none."""
    if "." not in name:
        return _file(name)
    found = locate(name, "model.block")
    if not isinstance(found, Block):
        raise UserError(f"model.block={name} is {type(found).__name__}: a {__name__}.Block is needed")
    return found


@cache
def _file(name: str) -> Block:
    if name not in names():
        raise unknown("model.block", name, names())
    block = getattr(import_module(f"{__name__}.{name}"), "BLOCK", None)
    if not isinstance(block, Block):
        raise UserError(f"models/blocks/{name}.py must define BLOCK = Block(...)")
    return block
