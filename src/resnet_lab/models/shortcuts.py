"""The shortcuts of he2015 Section 3.3 and he2016 Table 1: how each is added to what the branch computed."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_lab.models.description import Net
from resnet_lab.models.kinds import ORDERS
from resnet_lab.models.layers import conv, he_init, norm
from resnet_lab.models.stages import ConvPlan, UnitPlan


class Plain(nn.Module):
    """F: no shortcut, a plain net."""

    def __init__(self, *_: object) -> None:
        super().__init__()

    def forward(self, _: Tensor, branch: Tensor) -> Tensor:
        return branch


class Identity(nn.Module):
    """x + F; where dimensions change, every second pixel of x and zero channels: option A."""

    def __init__(self, net: Net, unit: UnitPlan) -> None:
        super().__init__()
        self.stride = unit.stride
        zeros = unit.width_out - unit.width_in
        before = zeros // 2 if net.zero_channels == "split" else 0
        self.zeros = (before, zeros - before)

    def forward(self, x: Tensor, branch: Tensor) -> Tensor:
        return self.identity(x) + branch

    def identity(self, x: Tensor) -> Tensor:
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, *self.zeros)) if any(self.zeros) else x


class ConstantScaling(Identity):
    """a x + b F: he2016 Figure 2(b)."""

    def __init__(self, net: Net, unit: UnitPlan) -> None:
        super().__init__(net, unit)
        self.shortcut_scale, self.branch_scale = net.shortcut_scale, net.branch_scale

    def forward(self, x: Tensor, branch: Tensor) -> Tensor:
        return self.shortcut_scale * self.identity(x) + self.branch_scale * branch


class Gating(Identity):
    """A gate g = sigmoid(1x1 convolution of x + bias) for each channel and pixel."""

    def __init__(self, net: Net, unit: UnitPlan) -> None:
        super().__init__(net, unit)
        self.gate = nn.Conv2d(unit.width_in, unit.width_out, 1, unit.stride)
        he_init(net, self.gate, net.gate_bias)


class ExclusiveGating(Gating):
    """(1 - g) x + g F: he2016 Figure 2(c)."""

    def forward(self, x: Tensor, branch: Tensor) -> Tensor:
        g = torch.sigmoid(self.gate(x))
        return (1 - g) * self.identity(x) + g * branch


class ShortcutOnlyGating(Gating):
    """(1 - g) x + F: he2016 Figure 2(d)."""

    def forward(self, x: Tensor, branch: Tensor) -> Tensor:
        g = torch.sigmoid(self.gate(x))
        return (1 - g) * self.identity(x) + branch


class Dropout(Identity):
    """dropout(x) + F: he2016 Figure 2(f)."""

    def __init__(self, net: Net, unit: UnitPlan) -> None:
        super().__init__(net, unit)
        self.ratio = net.shortcut_dropout

    def forward(self, x: Tensor, branch: Tensor) -> Tensor:
        return F.dropout(self.identity(x), self.ratio, self.training) + branch


class Projection(nn.Sequential):
    """W x + F, with batch norm after the 1x1 convolution W: options B and C, and he2016 Figure 2(e).

    Where batch norms stand before convolutions there is none here. ResNet-D averages what a stride would skip.
    """

    def __init__(self, net: Net, unit: UnitPlan) -> None:
        pool = net.downsample == "pool"
        planned = ConvPlan(unit.width_in, unit.width_out, 1, 1 if pool else unit.stride)
        layers: list[nn.Module] = [conv(net, planned)]
        if pool:
            average = nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False)
            layers.insert(0, average if unit.stride > 1 else nn.Identity())
        if net.batch_norm and not ORDERS[net.order].norm_first:
            layers.append(norm(net, unit.width_out))
        super().__init__(*layers)

    def forward(self, x: Tensor, branch: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x) + branch


def projection_where_needed(net: Net, unit: UnitPlan) -> nn.Module:
    """Option B."""
    return Projection(net, unit) if unit.projects else Identity(net, unit)


# model.shortcut -> the module around a unit, called with what the unit gets and what its branch computed.
CLASSES: dict[str, Callable[[Net, UnitPlan], nn.Module]] = {
    "A": Identity,
    "B": projection_where_needed,
    "C": Projection,
    "none": Plain,
    "constant_scaling": ConstantScaling,
    "exclusive_gating": ExclusiveGating,
    "shortcut_only_gating": ShortcutOnlyGating,
    "conv": Projection,
    "dropout": Dropout,
}
