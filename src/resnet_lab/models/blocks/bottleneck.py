"""1x1, 3x3, 1x1: narrow inside, four times as wide at its end: he2015 Figure 5, right."""

from resnet_lab.models.blocks import Block

BLOCK = Block(kernels=(1, 3, 1), expansion=4)
