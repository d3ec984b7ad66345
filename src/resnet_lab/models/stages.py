"""The plan of a net's stages, units and convolutions, before anything is built. Free of torch."""

from collections.abc import Iterator

from resnet_lab.errors import UserError
from resnet_lab.models import blocks, shortcuts
from resnet_lab.models.blocks import Block
from resnet_lab.models.description import Net, branch_width, family_of
from resnet_lab.models.plans import ConvPlan, UnitPlan


def plan(net: Net) -> list[list[UnitPlan]]:
    """The units of each stage: each further stage halves the resolution and doubles the width."""
    block, shortcut = blocks.load(net.block), shortcuts.find(net.shortcut)
    units = family_of(net).units(net.depth, block.layers)
    if units is None:
        raise UserError(f"family {net.family} has no net of depth {net.depth} with {net.block} units")
    stages: list[list[UnitPlan]] = []
    made, width_in = 0, net.width
    for stage, length in enumerate(units):
        planned = []
        for unit in range(length):
            stride = 2 if stage > 0 and unit == 0 else 1
            convolutions = tuple(_convolutions(net, block, stage, width_in, stride))
            width_out = convolutions[-1].width_out
            changes = stride != 1 or width_in != width_out
            projects = shortcut.projects_at(changes)
            shares = projects or (changes and net.shared_preactivation == "first_and_changes")
            activated = made == 0 and net.shared_preactivation != "projections"
            made += 1
            rate = net.drop_path * made / sum(units)
            planned.append(UnitPlan(convolutions, activated, projects, shares, rate))
            width_in = width_out
        stages.append(planned)
    return stages


def _convolutions(net: Net, block: Block, stage: int, width_in: int, stride: int) -> Iterator[ConvPlan]:
    """Plan the convolutions of one branch. The stride is on the first 3x3 or else on the first one; see `stride_on`."""
    width = branch_width(net, stage)
    # Only a block that widens its end keeps the papers' width there while its 3x3 convolutions grow.
    width_end = width if block.expansion == 1 else net.width * 2**stage * block.expansion
    first_wide = next((i for i, kernel in enumerate(block.kernels) if kernel > 1), 0)
    strided = 0 if net.stride_on == "1x1" else first_wide
    for i, kernel in enumerate(block.kernels):
        width_out = width_end if i == block.layers - 1 else width
        groups = net.groups if kernel > 1 else 1
        yield ConvPlan(width_in, width_out, kernel, stride if i == strided else 1, groups)
        width_in = width_out
