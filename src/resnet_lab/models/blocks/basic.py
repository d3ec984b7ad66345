"""Two 3x3 convolutions: he2015 Figure 5, left."""

from resnet_lab.models.blocks import Block

BLOCK = Block(kernels=(3, 3))
