"""A unit: branch + shortcut, one class for each activation order of he2016 Figure 4."""

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.functional import relu

from resnet_lab.models import blocks
from resnet_lab.models.description import ModelConfig
from resnet_lab.models.layers import DropPath, conv, norm
from resnet_lab.models.shortcuts import KINDS, Projection
from resnet_lab.models.stages import UnitPlan


class Unit(nn.Module):
    """What the orders share: the convolutions conv1, conv2, ..., their batch norms, and the addition.

    Names are torchvision's, so that weights travel without a table: the shortcut is `downsample`.
    """

    preactivation = False  # batch norm i stands before convolution i; else after it

    def __init__(self, config: ModelConfig, unit: UnitPlan) -> None:
        super().__init__()
        block = blocks.load(config.block)
        self.length = block.layers
        self.dropout = config.branch_dropout
        strided = next((i for i, kernel in enumerate(block.kernels) if kernel > 1), 0)
        width_in = unit.width_in
        for i, kernel in enumerate(block.kernels):
            width_out = unit.width_out if i == self.length - 1 else unit.width
            stride = unit.stride if i == (0 if config.stride_on == "1x1" else strided) else 1
            groups = config.groups if kernel > 1 else 1
            self.add_module(f"conv{i + 1}", conv(config, width_in, width_out, kernel, stride, groups))
            # What the first unit gets is activated by the stem: a second batch norm would only repeat it.
            again = self.preactivation and unit.first and i == 0
            bn = nn.Identity() if again else norm(config, width_in if self.preactivation else width_out)
            self.add_module(f"bn{i + 1}", bn)
            width_in = width_out
        if config.zero_init_gamma:
            nn.init.zeros_(getattr(self, f"bn{self.length}").weight)
        self.attention = block.attention(unit.width_out) if block.attention else nn.Identity()
        self.drop_path = DropPath(unit.drop_path) if unit.drop_path else nn.Identity()
        self.downsample = KINDS[config.shortcut](config, unit)

    def convolutions(self, x: Tensor) -> Tensor:
        """conv (, BN, ReLU, conv)*: the branch but for the batch norm at its one end."""
        for i in range(1, self.length + 1):
            if i > 1:
                x = relu(getattr(self, f"bn{i if self.preactivation else i - 1}")(x))
            if i == self.length and self.dropout:
                x = F.dropout(x, self.dropout, self.training)
            x = getattr(self, f"conv{i}")(x)
        return x

    def bn(self, x: Tensor) -> Tensor:
        """The batch norm that does not stand between two convolutions."""
        return getattr(self, f"bn{1 if self.preactivation else self.length}")(x)

    def for_shortcut(self, x: Tensor, activated: Tensor) -> Tensor:
        """Weight layers read the activated signal; everything else keeps x clean: he2016 Section 4.1."""
        return activated if isinstance(self.downsample, Projection) else x

    def add(self, x: Tensor, branch: Tensor) -> Tensor:
        """The shortcut of x added to the branch."""
        return self.downsample(x, self.drop_path(self.attention(branch)))


class Original(Unit):
    """Figure 4(a), and he2015 Figure 2: conv-BN-ReLU-...-conv-BN, addition, ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.add(x, self.bn(self.convolutions(x))))


class BNAfterAddition(Unit):
    """Figure 4(b): the branch ends with its last convolution; addition, BN, ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.bn(self.add(x, self.convolutions(x))))


class ReLUBeforeAddition(Unit):
    """Figure 4(c): nothing after the addition, so the signal can only grow."""

    def forward(self, x: Tensor) -> Tensor:
        return self.add(x, relu(self.bn(self.convolutions(x))))


class ReLUOnlyPreactivation(Unit):
    """Figure 4(d): ReLU-conv-BN-...-ReLU-conv-BN, addition."""

    def forward(self, x: Tensor) -> Tensor:
        activated = relu(x)
        return self.add(self.for_shortcut(x, activated), self.bn(self.convolutions(activated)))


class FullPreactivation(Unit):
    """Figure 4(e): BN-ReLU-conv-...-BN-ReLU-conv, addition."""

    preactivation = True

    def forward(self, x: Tensor) -> Tensor:
        activated = relu(self.bn(x))
        return self.add(self.for_shortcut(x, activated), self.convolutions(activated))


ORDERS: dict[str, type[Unit]] = {
    "original": Original,
    "bn_after_addition": BNAfterAddition,
    "relu_before_addition": ReLUBeforeAddition,
    "relu_only_preactivation": ReLUOnlyPreactivation,
    "full_preactivation": FullPreactivation,
}
