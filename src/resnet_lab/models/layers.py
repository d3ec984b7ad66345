"""Convolution and batch norm as the papers use them. `net` is the description, whose file names this one."""

from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from resnet_lab.models.plans import ConvPlan, UnitPlan


def conv(net: Any, plan: ConvPlan) -> nn.Conv2d:
    """Return a padded convolution: only its stride shrinks the image. It has a bias where no batch norm follows."""
    layer = nn.Conv2d(
        plan.width_in,
        plan.width_out,
        plan.kernel,
        plan.stride,
        padding=plan.kernel // 2,
        groups=plan.groups,
        bias=not net.batch_norm,
    )
    he_init(net, layer)
    return layer


def he_init(net: Any, layer: nn.Conv2d, bias: float = 0.0) -> None:
    """Normal weights of variance 2 / fan: 1502.01852 Section 2.2."""
    if not layer.weight.is_meta:  # nothing to fill there, and slow to pretend
        fan: Literal["fan_in", "fan_out"] = "fan_in" if net.init_fan == "fan_in" else "fan_out"
        nn.init.kaiming_normal_(layer.weight, mode=fan, nonlinearity="relu")
    if layer.bias is not None:
        nn.init.constant_(layer.bias, bias)


def norm(net: Any, width: int) -> nn.Module:
    """Return batch norm, gamma 1 and beta 0; nothing in a net without it."""
    return nn.BatchNorm2d(width) if net.batch_norm else nn.Identity()


def stem(net: Any, width_in: int, width: int) -> nn.Module:
    """Return what comes before the first batch norm: 3x3 on small images, 7x7 / 2 (he2015 Table 1), or three 3x3."""
    if net.stem == "3x3":
        return conv(net, ConvPlan(width_in, width, 3))
    if net.stem == "7x7":
        return conv(net, ConvPlan(width_in, width, 7, stride=2))
    half = width // 2  # ResNet-C's stem, which ResNet-D keeps: 1812.01187 Figure 2(b)
    first, second = conv(net, ConvPlan(width_in, half, 3, stride=2)), conv(net, ConvPlan(half, half, 3))
    third = conv(net, ConvPlan(half, width, 3))
    return nn.Sequential(first, norm(net, half), nn.ReLU(), second, norm(net, half), nn.ReLU(), third)


def gate(net: Any, unit: UnitPlan) -> nn.Conv2d:
    """Return a 1x1 convolution whose bias begins as `gate_bias`, on top of what a shortcut reads."""
    layer = nn.Conv2d(unit.width_in, unit.width_out, 1, unit.stride)
    he_init(net, layer, net.gate_bias)
    return layer


def average(stride: int) -> nn.Module:
    """ResNet-D's pooling before a projection: 1812.01187 Figure 2(c)."""
    return nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False) if stride > 1 else nn.Identity()


def padded_identity(net: Any, unit: UnitPlan) -> nn.Module:
    """x as wide and as small as the unit ends: option A."""
    zeros = unit.width_out - unit.width_in
    if unit.stride == 1 and not zeros:
        return nn.Identity()
    before = zeros // 2 if net.zero_channels == "split" else 0
    return PaddedIdentity(unit.stride, before, zeros - before)


class PaddedIdentity(nn.Module):
    """x; with a stride every second pixel of it, and with channels of zeros before and after its own."""

    def __init__(self, stride: int, before: int, after: int) -> None:
        super().__init__()
        self.stride, self.zeros = stride, (before, after)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, *self.zeros))


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


class SqueezeExcitation(nn.Module):
    """x scaled, channel by channel, by sigmoid(W2 relu(W1 mean(x))): 1709.01507 Section 3."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean((2, 3))
        return x * self.fc2(self.fc1(means).relu()).sigmoid()[:, :, None, None]
