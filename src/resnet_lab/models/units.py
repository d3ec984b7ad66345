"""A unit: branch + shortcut, added in the order of he2016 Figure 4 that the net has."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from resnet_lab.models import blocks, orders, shortcuts
from resnet_lab.models.layers import DropPath, conv, norm
from resnet_lab.models.plans import UnitPlan


class Unit(nn.Module):
    """conv1, bn1, relu, conv2, bn2, ..., the shortcut, and the addition.

    Names are torchvision's, so that weights travel without a table: the shortcut is `downsample`.
    """

    def __init__(self, net: Any, unit: UnitPlan) -> None:
        super().__init__()
        self.order = orders.find(net.order)
        self.norm_first = self.order.norm_first  # batch norm i stands before convolution i
        self.length = len(unit.convolutions)
        self.shares_activation = unit.shares_activation
        self.dropout = net.branch_dropout
        for number, planned in enumerate(unit.convolutions, start=1):
            # A second batch norm on what the stem normalised and activated would only repeat it.
            again = self.norm_first and unit.activated and number == 1
            width = planned.width_in if self.norm_first else planned.width_out
            self.add_module(f"conv{number}", conv(net, planned))
            self.add_module(f"bn{number}", last := nn.Identity() if again else norm(net, width))
            if number == 1:
                self.relu = nn.ReLU()
        if net.zero_init_gamma:
            nn.init.zeros_(next(last.parameters()))  # gamma
        attention = blocks.load(net.block).attention
        self.attention = attention(unit.width_out) if attention else None
        self.drop_path = DropPath(unit.drop_path) if unit.drop_path else None
        self.downsample = Addition(net, unit)

    def forward(self, x: Tensor) -> Tensor:
        return self.order.forward(self, x)

    def layers(self) -> tuple[list[nn.Module], list[nn.Module]]:
        """Return the convolutions and the batch norms; what replaces children, as synchronised ones do, is found."""
        layers = [layer for layer in self.children() if layer is not self.relu][: 2 * self.length]
        return layers[0::2], layers[1::2]

    def convolutions(self, x: Tensor) -> Tensor:
        """conv (, BN, ReLU, conv)*: the branch but for the batch norm at its one end."""
        convolutions, norms = self.layers()
        between = norms[1:] if self.norm_first else norms
        for i, convolution in enumerate(convolutions):
            if i > 0:
                x = self.relu(between[i - 1](x))
            if i == self.length - 1 and self.dropout:
                x = F.dropout(x, self.dropout, self.training)
            x = convolution(x)
        return x

    def bn(self, x: Tensor) -> Tensor:
        """Return the batch norm that does not stand between two convolutions."""
        return self.layers()[1][0 if self.norm_first else -1](x)

    def for_shortcut(self, x: Tensor, activated: Tensor) -> Tensor:
        """Return what the shortcut of a pre-activated unit reads: the input or the activated input."""
        return activated if self.shares_activation else x

    def add(self, x: Tensor, branch: Tensor) -> Tensor:
        """Return the shortcut of x added to the branch."""
        if self.attention is not None:
            branch = self.attention(branch)
        if self.drop_path is not None:
            branch = self.drop_path(branch)
        return self.downsample(x, branch)


class Addition(nn.Sequential):
    """The shortcut of a unit added to what its branch computed; the layers are the shortcut's."""

    def __init__(self, net: Any, unit: UnitPlan) -> None:
        super().__init__()
        self.shortcut = shortcuts.find(net.shortcut)(net, unit)
        for name, own in self.shortcut.layers().items():
            if isinstance(own, nn.Parameter):
                self.register_parameter(name, own)
            else:
                self.add_module(name, own)

    def forward(self, x: Tensor, branch: Tensor) -> Tensor:  # type: ignore[override]
        return self.shortcut.add(self, x, branch)
