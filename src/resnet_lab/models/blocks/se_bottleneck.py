"""The bottleneck with squeeze-and-excitation: 1709.01507 Figure 3."""

from resnet_lab.models.blocks import Block
from resnet_lab.models.blocks.se_basic import squeeze_excitation

BLOCK = Block(kernels=(1, 3, 1), expansion=4, attention=squeeze_excitation)
