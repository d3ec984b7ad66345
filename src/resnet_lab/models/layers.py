"""Convolution and batch norm as the papers use them."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from resnet_lab.models.description import ModelConfig


def conv(
    config: ModelConfig, width_in: int, width_out: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    """A padded convolution: only its stride shrinks the image. It has a bias where no batch norm follows."""
    bias = not config.batch_norm
    layer = nn.Conv2d(width_in, width_out, kernel, stride, padding=kernel // 2, groups=groups, bias=bias)
    he_init(config, layer)
    return layer


def he_init(config: ModelConfig, layer: nn.Conv2d, bias: float = 0.0) -> None:
    """Normal weights of variance 2 / fan: 1502.01852 Section 2.2."""
    if not layer.weight.is_meta:  # nothing to fill there, and slow to pretend
        fan: Literal["fan_in", "fan_out"] = "fan_in" if config.init_fan == "fan_in" else "fan_out"
        nn.init.kaiming_normal_(layer.weight, mode=fan, nonlinearity="relu")
    if layer.bias is not None:
        nn.init.constant_(layer.bias, bias)


def norm(config: ModelConfig, width: int) -> nn.Module:
    """Batch norm, gamma 1 and beta 0; nothing in a net without it."""
    return nn.BatchNorm2d(width) if config.batch_norm else nn.Identity()


def stem(config: ModelConfig, width_in: int, width: int) -> nn.Module:
    """What comes before the first batch norm: 3x3 on small images, 7x7 / 2 (he2015 Table 1), or three 3x3."""
    if config.stem == "3x3":
        return conv(config, width_in, width, 3)
    if config.stem == "7x7":
        return conv(config, width_in, width, 7, stride=2)
    half = width // 2  # ResNet-C's stem, which ResNet-D keeps: 1812.01187 Figure 2(b)
    first, second, third = (
        conv(config, width_in, half, 3, 2),
        conv(config, half, half, 3),
        conv(config, half, width, 3),
    )
    return nn.Sequential(first, norm(config, half), nn.ReLU(), second, norm(config, half), nn.ReLU(), third)


class DropPath(nn.Module):
    """Leaves out an image's branch with probability `rate`, in training: stochastic depth, 1603.09382."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        # Dropout of ones keeps the expectation: kept branches are scaled by 1 / (1 - rate).
        return x * F.dropout(x.new_ones(x.shape[0], 1, 1, 1), self.rate)

    def extra_repr(self) -> str:
        return f"rate={self.rate:g}"
