"""One 3x3 convolution: the one-layer skips of he2016 Table 3."""

from resnet_lab.models.blocks import Block

BLOCK = Block(kernels=(3,))
