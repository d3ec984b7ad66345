"""Which descriptions can be and make sense, each mistake told in one line. Free of torch."""

from collections.abc import Iterable, Iterator
from dataclasses import fields

from resnet_lab.errors import UserError, unknown
from resnet_lab.models import blocks
from resnet_lab.models.description import (
    AUTO,
    GATES,
    ORDERS,
    PROJECTIONS,
    SHORTCUTS,
    ModelConfig,
    branch_width,
    family_of,
    label,
    resolve,
)
from resnet_lab.models.families import STEM_STRIDES
from resnet_lab.models.published import variant


def check(config: ModelConfig, height: int | None = None, width: int | None = None) -> None:
    """Raise UserError for a net that cannot be, makes no sense, or is too deep for images of this size.

    `height` and `width` of the images are in pixels; None where they are not known.
    """
    family = family_of(config)
    _check_values(config)
    _check_depth(config)
    net = resolve(config)
    for reason in _senseless(net):
        raise UserError(f"model: {reason}")
    if config.weights is not None:
        variant(config)  # raises where there are none of this name
    stride = STEM_STRIDES[net.stem] * 2 ** (family.stages - 1)
    if height is not None and width is not None and min(height, width) < stride:
        raise UserError(
            f"images of {height}x{width} pixels are too small for {label(net)}: "
            f"its strides divide each side by {stride}, so {stride}x{stride} is the least"
        )


def _check_values(config: ModelConfig) -> None:
    allowed: dict[str, Iterable[str]] = {
        "block": (AUTO, *blocks.names()),
        "shortcut": (AUTO, *SHORTCUTS),
        "order": ORDERS,
        "stem": (AUTO, *STEM_STRIDES),
        "stride_on": (AUTO, "1x1", "3x3"),
        "zero_channels": ("append", "split"),
        "downsample": ("conv", "pool"),
        "init_fan": ("fan_in", "fan_out"),
        "head": ("keep", "reset"),
    }
    for field, values in allowed.items():
        if getattr(config, field) not in values:
            raise unknown(f"model.{field}", getattr(config, field), values)
    for field in ("depth", "width", "in_channels", "num_classes", "groups", "width_factor"):
        given = getattr(config, field)
        if given is not None and not 0 < given <= 100_000:
            raise UserError(f"model.{field}={given}: must be greater than 0 and at most 100000")
    for field in ("shortcut_dropout", "branch_dropout", "drop_path"):
        given = getattr(config, field)
        if not 0 <= given < 1:
            raise UserError(f"model.{field}={given}: must be at least 0 and less than 1")


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


def _senseless(net: ModelConfig) -> Iterator[str]:
    """Why this net, resolved, makes no sense."""
    block, shortcut, order = blocks.load(net.block), net.shortcut, net.order
    plain, padded = shortcut == "none", shortcut not in ("none", *PROJECTIONS)
    if plain and order != "original":
        yield "a plain net has no addition, so every order is the same net: use original"
    if plain and net.drop_path:
        yield "drop_path would silence a plain net, which has no shortcut"
    if plain and net.zero_init_gamma:
        yield "zero_init_gamma would silence a plain net, which has no shortcut"
    if not net.batch_norm and order in ("bn_after_addition", "full_preactivation"):
        yield f"order={order} places batch norms: without batch_norm use original or relu_only_preactivation"
    if not net.batch_norm and net.zero_init_gamma:
        yield "zero_init_gamma needs batch_norm"
    shared = order == "bn_after_addition" or (order == "full_preactivation" and block.layers == 1)
    if shared and net.zero_init_gamma:
        yield f"zero_init_gamma would silence the shortcut too: with order={order} they share the batch norm"
    if block.layers == 1 and net.branch_dropout:
        yield f"branch_dropout lies between convolutions, and a {net.block} branch has one"
    if block.kernels[0] != 1 and net.groups > 1:
        yield f"groups split the 3x3 between two 1x1, which a {net.block} branch has not"
    if branch_width(net) % net.groups:
        yield f"groups={net.groups} do not divide the {branch_width(net)} channels of the first stage"
    if padded and block.expansion == 1 and net.width_factor < 1:
        yield f"shortcut={shortcut} pads channels and cannot drop any: with width_factor below 1 use B"
    yield from _unread(net, padded)


def _unread(net: ModelConfig, padded: bool) -> Iterator[str]:
    """Choices that this net would not read: two runs that differ in them would be one."""
    read = {
        "zero_channels": (padded, "zero-padded shortcuts"),
        "downsample": (net.shortcut in PROJECTIONS, "projections"),
        "shortcut_scale": (net.shortcut == "constant_scaling", "constant_scaling"),
        "branch_scale": (net.shortcut == "constant_scaling", "constant_scaling"),
        "gate_bias": (net.shortcut in GATES, "gates"),
        "shortcut_dropout": (net.shortcut == "dropout", "dropout"),
    }
    for field in fields(net):
        given = getattr(net, field.name)
        reads, reader = read.get(field.name, (True, ""))
        if given != field.default and not reads:
            yield f"{field.name}={given} is for {reader}, and shortcut={net.shortcut} does not read it"
