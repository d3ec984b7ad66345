"""Which descriptions can be and make sense, each mistake reported in one line. Free of torch."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from resnet_lab.errors import UserError
from resnet_lab.fields import check as check_fields
from resnet_lab.models import blocks, orders, shortcuts
from resnet_lab.models.described import untold
from resnet_lab.models.description import (
    AUTO,
    ModelConfig,
    Net,
    family_of,
    resolve,
    usual,
)
from resnet_lab.models.orders import ORDERS
from resnet_lab.models.published import variant
from resnet_lab.models.shortcuts import SHORTCUTS


def check(config: ModelConfig, height: int | None = None, width: int | None = None) -> Net:
    """The net that a description means, resolved; it can be built.

    Raises UserError for a net that cannot be, makes no sense, or is too deep for images of this size: `height` and
    `width` in pixels, None where they are not known.
    """
    check_fields(config, "model.")
    _check_depth(config)
    net = resolve(config)
    for reason in _senseless(net):
        raise UserError(f"model: {reason}")
    if config.weights is not None:
        _check_weights(config, net)
    least = net.stride
    if height is not None and width is not None and min(height, width) < least:
        raise UserError(
            f"images of {height}x{width} pixels are too small for {net.label}: "
            f"its strides divide each side by {least}, so {least}x{least} is the least"
        )
    return net


def _check_weights(config: ModelConfig, net: Net) -> None:
    """Check that weights of this name exist, and that a file's cannot be mistaken for another network's."""
    if variant(net) is not None:
        return
    path = Path(str(config.weights)).expanduser()
    if (reason := untold(config, net, path)) is not None:
        from resnet_lab.models.weights import check_fits  # slow to import, and on the way to an error only

        check_fits(net, path)  # nobody is asked about a file that will not do either way
        raise UserError(reason)


def _check_depth(config: ModelConfig) -> None:
    """The depth must be one that the family has with this block; the error names the two nearest."""
    family = family_of(config)

    def block_at(depth: int) -> str:
        return family.usual_block(depth) if config.block == AUTO else config.block

    def exists(depth: int) -> bool:
        return family.units(depth, blocks.load(block_at(depth)).layers) is not None

    if exists(config.depth):
        return
    below = next(filter(exists, range(config.depth - 1, 0, -1)), None)
    above = next(filter(exists, range(config.depth + 1, config.depth + 500)), None)
    near = " and ".join(str(depth) for depth in (below, above) if depth is not None)
    block = block_at(config.depth)
    raise UserError(
        f"model.depth={config.depth} is not {family.form(blocks.load(block).layers)} "
        f"(family {config.family}, {block} units): the nearest that are: {near}"
    )


def _senseless(net: Net) -> Iterator[str]:
    """Why this net makes no sense."""
    block, shortcut, order = blocks.load(net.block), shortcuts.find(net.shortcut), orders.find(net.order)
    if shortcut.plain and net.order != "original":
        yield "a plain net has no addition, so every order is the same net: use original"
    if shortcut.plain and net.drop_path:
        yield "drop_path would silence a plain net, which has no shortcut"
    if shortcut.plain and net.zero_init_gamma:
        yield "zero_init_gamma would silence a plain net, which has no shortcut"
    if not net.batch_norm and (order.norm_first or order.norm_after_addition):
        yield f"order={net.order} places batch norms: without batch_norm use original or relu_only_preactivation"
    if not net.batch_norm and net.zero_init_gamma:
        yield "zero_init_gamma needs batch_norm"
    if net.zero_init_gamma and order.shares_last_norm(block.layers):
        yield f"zero_init_gamma would silence the shortcut too: with order={net.order} they share the batch norm"
    if block.layers == 1 and net.branch_dropout:
        yield f"branch_dropout lies between convolutions, and a {net.block} branch has one"
    if block.kernels[0] != 1 and net.groups > 1:
        yield f"groups split the 3x3 between two 1x1, which a {net.block} branch has not"
    if net.branch_width() % net.groups:
        yield f"groups={net.groups} do not divide the {net.branch_width()} channels of the first stage"
    if shortcut.pads() and block.expansion == 1 and net.width_factor < 1:
        yield f"shortcut={net.shortcut} pads channels and cannot drop any: with width_factor below 1 use B"
    yield from _unread(net)


def _unread(net: Net) -> Iterator[str]:
    """Choices that this net would not read: two runs that differ in them would be one."""
    if net.weights is None and net.head == "reset":
        yield "head=reset is for model.weights: without them the whole net starts fresh"
    shared = net.shared_preactivation
    activates_first = [name for name, order in ORDERS.items() if order.activates_first]
    padding = [name for name, shortcut in SHORTCUTS.items() if shortcut.pads()]
    for each in fields(net):
        given = getattr(net, each.name)
        readers = [name for name, shortcut in SHORTCUTS.items() if each.name in shortcut.reads]
        read = each.name in shortcuts.find(net.shortcut).reads
        if readers and not read and given != usual(each):
            yield f"{each.name}={given} is for shortcut={', '.join(readers)}; {net.shortcut} does not read it"
        if net.weights is not None and each.name in ("init_fan", "zero_init_gamma") and given != usual(each):
            yield f"{each.name}={given} is for a fresh net: model.weights fill all that it would begin with"
        if (
            each.name == "shared_preactivation"
            and given != usual(each)
            and not orders.find(net.order).activates_first
        ):
            yield f"{each.name}={given} is for order={', '.join(activates_first)}; {net.order} does not read it"
    if shared == "first_and_changes" and not shortcuts.find(net.shortcut).pads():
        yield f"shared_preactivation={shared} is for shortcut={', '.join(padding)}; {net.shortcut} is the same without"
