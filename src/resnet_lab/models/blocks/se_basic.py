"""Two 3x3 convolutions with squeeze-and-excitation: 1709.01507 Section 4."""

from typing import TYPE_CHECKING

from resnet_lab.models.blocks import Block

if TYPE_CHECKING:
    from torch import nn


def squeeze_excitation(width: int, reduction: int = 16) -> "nn.Module":
    """Scales each channel by a gate that sees the mean of every channel: (N, width, H, W) -> the same."""
    from resnet_lab.models.layers import SqueezeExcitation

    return SqueezeExcitation(width, max(1, width // reduction))


BLOCK = Block(kernels=(3, 3), attention=squeeze_excitation)
