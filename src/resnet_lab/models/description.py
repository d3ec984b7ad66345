"""What a network is, in words: the dataclass that names every choice. Free of torch."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import PurePath

from resnet_lab.errors import unknown
from resnet_lab.models import blocks
from resnet_lab.models.families import FAMILIES, Family

# The shortcuts of he2015 Section 3.3 and he2016 Table 1, and what each is.
SHORTCUTS = {
    "A": "identity, zero-padded where dimensions change",
    "B": "projection where dimensions change, else identity",
    "C": "projection everywhere",
    "none": "a plain net",
    "constant_scaling": "shortcut_scale x + branch_scale F",
    "exclusive_gating": "(1 - g) x + g F",
    "shortcut_only_gating": "(1 - g) x + F",
    "conv": "he2016's 1x1 convolution everywhere: the same as C",
    "dropout": "dropout on the shortcut",
}
AUTO = "auto"
PROJECTIONS = ("B", "C", "conv")
GATES = ("exclusive_gating", "shortcut_only_gating")

# he2016 Figure 4 (a) to (e).
ORDERS = (
    "original",
    "bn_after_addition",
    "relu_before_addition",
    "relu_only_preactivation",
    "full_preactivation",
)


@dataclass
class ModelConfig:
    """One residual network: a family plans the stages, a unit is block + shortcut + order.

    Every field is a key of the Hydra group ``model`` and a keyword of `create_model`;
    auto is what the papers do with this family, depth and block.
    """

    family: str = "cifar"  # cifar: 3 stages, 6n+2 / 9n+2; wide: 6n+4; imagenet: 4 stages, the named depths
    depth: int = 20  # weighted layers, counted as the papers count them
    block: str = AUTO  # the kind of branch: a file of models/blocks/
    shortcut: str = AUTO  # a name of SHORTCUTS; auto: A for blocks as wide as their stage on CIFAR, else B
    order: str = "original"  # the activation order: a name of ORDERS
    stem: str = AUTO  # 3x3; 7x7 with max pooling; deep (ResNet-D)
    width: int | None = None  # channels of the first stage, doubled at each further one; None: 16 or 64
    in_channels: int | None = None  # None: what the data has
    num_classes: int | None = None  # None: what the data has
    stride_on: str = AUTO  # where a bottleneck strides: 1x1 (the papers, v1) or 3x3 (torchvision, v1.5)
    zero_channels: str = "append"  # where zero-padded shortcuts put their zeros: append, or split
    downsample: str = "conv"  # projections: strided conv, or pool (ResNet-D's average pooling)
    groups: int = 1  # groups of a bottleneck's 3x3 (ResNeXt)
    width_factor: float = 1.0  # width of the 3x3 convolutions relative to the papers' (wide ResNets)
    init_fan: str = "fan_out"  # He initialisation: fan_in or fan_out
    zero_init_gamma: bool = False  # zero the last gamma of each branch: a later trick, off in the papers
    batch_norm: bool = True
    shortcut_scale: float = 0.5  # constant_scaling: on the shortcut
    branch_scale: float = 0.5  # constant_scaling: on the branch
    gate_bias: float = -6.0  # gating: initial bias of the gates
    shortcut_dropout: float = 0.5  # dropout: the ratio
    branch_dropout: float = 0.0  # before the last convolution of a branch (wide ResNets)
    drop_path: float = 0.0  # stochastic depth: rate of the last unit, growing linearly from 0
    checkpointing: bool = False  # recompute activations in the backward pass: less memory, more time
    weights: str | None = None  # published weights (imagenet, IMAGENET1K_V1, ...) or a path
    head: str = "keep"  # of the weights: keep, or reset: start with a fresh classifier, of any class count


def family_of(config: ModelConfig) -> Family:
    """The plan of its stages; raises UserError for a family that is not there."""
    if config.family not in FAMILIES:
        raise unknown("model.family", config.family, FAMILIES)
    return FAMILIES[config.family]


def resolve(config: ModelConfig) -> ModelConfig:
    """The same net with what its description leaves to the family written out.

    Channels and classes stay open: they are the data's. Raises UserError for an unknown family or block.
    """
    family = family_of(config)
    block = _chosen(config.block, family.usual_block(config.depth))
    branch = blocks.load(block)
    reads_stride = branch.kernels[0] == 1  # else the first convolution strides, whatever is said
    return replace(
        config,
        block=block,
        shortcut=_chosen(config.shortcut, family.usual_shortcut(branch.expansion)),
        stem=_chosen(config.stem, family.stem),
        width=family.width if config.width is None else config.width,
        stride_on=_chosen(config.stride_on if reads_stride else AUTO, family.stride_on),
    )


def _chosen(given: str, usual: str) -> str:
    return usual if given == AUTO else given


def branch_width(config: ModelConfig, stage: int = 0) -> int:
    """Channels of the 3x3 convolutions in a stage, counted from 0."""
    width = family_of(config).width if config.width is None else config.width
    return int(width * config.width_factor) * 2**stage


def label(config: ModelConfig) -> str:
    """A short readable name of letters, digits, - and _: resnet-110-dropout-full_preactivation."""
    words = ["plain" if config.shortcut == "none" else "resnet", str(config.depth)]
    for field, value in _unusual(config):
        if value != "none":
            words.append(value if field in ("block", "shortcut", "order", "weights") else f"{field}_{value}")
    return re.sub(r"[^A-Za-z0-9_-]", "_", "-".join(words))


def kind(config: ModelConfig) -> str:
    """What a table calls it beside its depth: plain, residual (basic, A), residual (basic, A, groups=32)."""
    net = resolve(config)
    plain = net.shortcut == "none"
    said = [] if plain and net.block == "basic" else [net.block]
    if not plain:
        said.append(net.shortcut)
    for field, value in _unusual(net):
        if field not in ("block", "shortcut"):
            said.append(value if field == "order" else f"{field}={value}")
    name = "plain" if plain else "residual"
    return f"{name} ({', '.join(said)})" if said else name


# What does not tell one net of a sweep from another.
_UNTOLD = ("family", "depth", "in_channels", "num_classes", "checkpointing", "head")


def _unusual(config: ModelConfig) -> Iterator[tuple[str, str]]:
    """The fields, and their values as text, that differ from what the papers do with this depth and block."""
    net = resolve(config)
    usual = resolve(ModelConfig(family=net.family, depth=net.depth))
    usual.shortcut = family_of(net).usual_shortcut(blocks.load(net.block).expansion)
    for field in fields(ModelConfig):
        value = getattr(net, field.name)
        if field.name not in _UNTOLD and value != getattr(usual, field.name):
            yield field.name, _text(field.name, value)


def _text(field: str, value: object) -> str:
    if field == "weights":
        return PurePath(str(value)).name
    return (
        f"{value:g}"
        if isinstance(value, float)
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
    )
