"""The plan of a net's stages and units, before anything is built. Free of torch."""

from dataclasses import dataclass

from resnet_lab.errors import UserError
from resnet_lab.models import blocks
from resnet_lab.models.description import ModelConfig, branch_width, family_of, resolve


@dataclass(frozen=True)
class UnitPlan:
    """The widths, in channels, and the stride of one unit."""

    width_in: int
    width: int  # of its 3x3 convolutions
    width_out: int
    stride: int
    first: bool  # of the net: what it gets is activated already
    drop_path: float  # probability that its branch is left out in training

    @property
    def changes_dimensions(self) -> bool:
        return self.stride != 1 or self.width_in != self.width_out


def plan(config: ModelConfig) -> list[list[UnitPlan]]:
    """The units of each stage: each further stage halves the resolution and doubles the width."""
    net = resolve(config)
    block = blocks.load(net.block)
    units = family_of(net).units(net.depth, block.layers)
    if units is None or net.width is None:
        raise UserError(f"family {net.family} has no net of depth {net.depth} with {net.block} units")
    stages: list[list[UnitPlan]] = []
    made, width_in = 0, net.width
    for stage, length in enumerate(units):
        width = branch_width(net, stage)
        # Only a block that widens its end keeps the papers' width there while its 3x3 convolutions grow.
        width_out = width if block.expansion == 1 else net.width * 2**stage * block.expansion
        planned = []
        for unit in range(length):
            stride = 2 if stage > 0 and unit == 0 else 1
            made += 1
            rate = net.drop_path * made / sum(units)
            planned.append(UnitPlan(width_in, width, width_out, stride, made == 1, rate))
            width_in = width_out
        stages.append(planned)
    return stages
