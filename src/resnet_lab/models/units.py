"""A unit: branch + shortcut, one class for each activation order of he2016 Figure 4.

he2016 Section 4.1 and its appendix leave nothing of a pre-activated net open, and its authors' own code
(KaimingHe/resnet-1k-layers, resnet-pre-act.lua) does the same: where dimensions change, batch norm and ReLU stand
before branch and projection part, so that both read the activated signal; elsewhere the shortcut carries the raw
one. The first unit is activated before its paths part; that code has batch norm and ReLU within the unit, and here
the stem has them: the same net. Other sources differ in the first unit and with zero-padded shortcuts, which that
code does not have: `kinds.SHARED_PREACTIVATION`.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from resnet_lab.models import blocks
from resnet_lab.models.description import Net
from resnet_lab.models.kinds import ORDERS
from resnet_lab.models.layers import DropPath, conv, norm
from resnet_lab.models.shortcuts import CLASSES as SHORTCUTS
from resnet_lab.models.stages import UnitPlan


class Unit(nn.Module):
    """What the orders share: conv1, bn1, relu, conv2, bn2, ..., the shortcut, and the addition.

    Names are torchvision's, so that weights travel without a table: the shortcut is `downsample`.
    """

    def __init__(self, net: Net, unit: UnitPlan) -> None:
        super().__init__()
        self.norm_first = ORDERS[net.order].norm_first  # batch norm i stands before convolution i
        self.length = len(unit.convolutions)
        self.shares_activation = unit.shares_activation
        self.dropout = net.branch_dropout
        for i, planned in enumerate(unit.convolutions, start=1):
            self.add_module(f"conv{i}", conv(net, planned))
            # A second batch norm on what the stem normalised and activated would only repeat it.
            again = self.norm_first and unit.activated and i == 1
            width = planned.width_in if self.norm_first else planned.width_out
            self.add_module(f"bn{i}", nn.Identity() if again else norm(net, width))
            if i == 1:
                self.relu = nn.ReLU()
        if net.zero_init_gamma:
            nn.init.zeros_(getattr(self, f"bn{self.length}").weight)
        attention = blocks.load(net.block).attention
        self.attention = attention(unit.width_out) if attention else None
        self.drop_path = DropPath(unit.drop_path) if unit.drop_path else None
        self.downsample = SHORTCUTS[net.shortcut](net, unit)

    def convolutions(self, x: Tensor) -> Tensor:
        """conv (, BN, ReLU, conv)*: the branch but for the batch norm at its one end."""
        for i in range(1, self.length + 1):
            if i > 1:
                x = self.relu(getattr(self, f"bn{i if self.norm_first else i - 1}")(x))
            if i == self.length and self.dropout:
                x = F.dropout(x, self.dropout, self.training)
            x = getattr(self, f"conv{i}")(x)
        return x

    def bn(self, x: Tensor) -> Tensor:
        """The batch norm that does not stand between two convolutions."""
        return getattr(self, f"bn{1 if self.norm_first else self.length}")(x)

    def for_shortcut(self, x: Tensor, activated: Tensor) -> Tensor:
        """Of a pre-activated unit: what the plan says that its shortcut reads."""
        return activated if self.shares_activation else x

    def add(self, x: Tensor, branch: Tensor) -> Tensor:
        """The shortcut of x added to the branch."""
        if self.attention is not None:
            branch = self.attention(branch)
        if self.drop_path is not None:
            branch = self.drop_path(branch)
        return self.downsample(x, branch)


class Original(Unit):
    """Figure 4(a), and he2015 Figure 2: conv-BN-ReLU-...-conv-BN, addition, ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.add(x, self.bn(self.convolutions(x))))


class BNAfterAddition(Unit):
    """Figure 4(b): the branch ends with its last convolution; addition, BN, ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.bn(self.add(x, self.convolutions(x))))


class ReLUBeforeAddition(Unit):
    """Figure 4(c): nothing after the addition, so the signal can only grow."""

    def forward(self, x: Tensor) -> Tensor:
        return self.add(x, self.relu(self.bn(self.convolutions(x))))


class ReLUOnlyPreactivation(Unit):
    """Figure 4(d): ReLU-conv-BN-...-ReLU-conv-BN, addition."""

    def forward(self, x: Tensor) -> Tensor:
        activated = self.relu(x)
        return self.add(self.for_shortcut(x, activated), self.bn(self.convolutions(activated)))


class FullPreactivation(Unit):
    """Figure 4(e): BN-ReLU-conv-...-BN-ReLU-conv, addition."""

    def forward(self, x: Tensor) -> Tensor:
        activated = self.relu(self.bn(x))
        return self.add(self.for_shortcut(x, activated), self.convolutions(activated))


CLASSES: dict[str, type[Unit]] = {
    "original": Original,
    "bn_after_addition": BNAfterAddition,
    "relu_before_addition": ReLUBeforeAddition,
    "relu_only_preactivation": ReLUOnlyPreactivation,
    "full_preactivation": FullPreactivation,
}
