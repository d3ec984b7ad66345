"""What a network is, in words: the dataclass that names every choice. Free of torch."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import Field, dataclass, fields
from pathlib import PurePath
from typing import Any

from resnet_lab.errors import unknown
from resnet_lab.fields import choice, local, number, path
from resnet_lab.models import blocks
from resnet_lab.models.families import FAMILIES, STEM_STRIDES, STRIDE_ON, Family
from resnet_lab.models.orders import ORDERS, SHARED_PREACTIVATION
from resnet_lab.models.shortcuts import SHORTCUTS, ZERO_CHANNELS

AUTO = "auto"


def _open(allowed: Iterable[str], usual: str | None = None) -> Any:
    return choice(AUTO, lambda: (AUTO, *allowed), usual=usual)


def _positive(default: float | None) -> Any:
    return number(default, above=0, most=100_000)


def _ratio(default: float) -> Any:
    return number(default, least=0, below=1)


@dataclass
class NetConfig:
    """What every net has, whichever kind it is: the part of a configuration that is called ``model``."""

    in_channels: int | None = _positive(None)  # None: what the data has
    num_classes: int | None = _positive(None)  # None: what the data has
    weights: str | None = path(None)  # published weights (imagenet, IMAGENET1K_V1, ...) or a path


@dataclass
class ModelConfig(NetConfig):
    """One residual network: a family plans the stages, a unit is block + shortcut + order.

    Every field is a key of the Hydra group ``model`` and a keyword of `create_model`;
    auto is what the papers do with this family, depth and block.
    """

    # cifar: 3 stages, 6n+2 / 9n+2; wide: 6n+4; imagenet: 4 stages, the named depths
    family: str = choice("cifar", FAMILIES)
    depth: int = _positive(20)  # weighted layers, counted as the papers count them
    block: str = choice(AUTO, lambda: (AUTO, *blocks.names()))  # the kind of branch: a file of models/blocks/
    shortcut: str = _open(SHORTCUTS)  # auto: A for blocks as wide as their stage on CIFAR, else B
    order: str = choice("original", ORDERS)  # of activation
    stem: str = _open(STEM_STRIDES)  # 3x3; 7x7 with max pooling; deep (ResNet-D)
    # Channels of the first stage, doubled at each further one; None: 16 or 64
    width: int | None = _positive(None)
    # Where a bottleneck strides: 1x1 (the papers, v1) or 3x3 (torchvision, v1.5)
    stride_on: str = _open(STRIDE_ON)
    # Where zero-padded shortcuts put their zeros, and where those of pre-activated units read the activated signal.
    # Weights from elsewhere need both said.
    zero_channels: str = _open(ZERO_CHANNELS, usual="append")
    shared_preactivation: str = _open(SHARED_PREACTIVATION, usual="first_and_projections")
    downsample: str = choice("conv", ("conv", "pool"))  # projections: strided, or after ResNet-D's pooling
    groups: int = _positive(1)  # groups of a bottleneck's 3x3 (ResNeXt)
    # Width of the 3x3 convolutions relative to the papers' (wide ResNets)
    width_factor: float = _positive(1.0)
    init_fan: str = choice("fan_out", ("fan_in", "fan_out"))  # He initialisation
    zero_init_gamma: bool = False  # zero the last gamma of each branch: a later trick, off in the papers
    batch_norm: bool = True
    shortcut_scale: float = 0.5  # constant_scaling: on the shortcut
    branch_scale: float = 0.5  # constant_scaling: on the branch
    gate_bias: float = -6.0  # gating: initial bias of the gates
    shortcut_dropout: float = _ratio(0.5)  # dropout on the shortcut
    branch_dropout: float = _ratio(0.0)  # before the last convolution of a branch (wide ResNets)
    drop_path: float = _ratio(0.0)  # stochastic depth: rate of the last unit, growing linearly from 0
    # Recompute activations in the backward pass: less memory, more time, the same bits.
    checkpointing: bool = local(False)
    # Of the weights: keep, or reset: start with a fresh classifier, of any class count
    head: str = choice("keep", ("keep", "reset"))


def family_of(config: ModelConfig) -> Family:
    """The plan of its stages; raises UserError for a family that is not there."""
    if config.family not in FAMILIES:
        raise unknown("model.family", config.family, FAMILIES)
    return FAMILIES[config.family]


@dataclass
class Net(ModelConfig):
    """A description with nothing left open, made by `resolve`: what is labelled, hashed, planned and built."""

    width: int = 16


def resolve(config: ModelConfig) -> Net:
    """The same net with what its description leaves open written out; a Net is given back as it is.

    Raises UserError for an unknown family or block.
    """
    if isinstance(config, Net):
        return config
    family = family_of(config)
    block = family.usual_block(config.depth) if config.block == AUTO else config.block
    branch = blocks.load(block)
    decided = {
        "block": block,
        "shortcut": family.usual_shortcut(branch.expansion),
        "stem": family.stem,
        "width": family.width,
        "stride_on": family.stride_on,
    }
    given = {each.name: getattr(config, each.name) for each in fields(config)}
    if branch.kernels[0] != 1:  # then the first convolution strides, whatever is said
        given["stride_on"] = AUTO
    for each in fields(config):
        if given[each.name] in (AUTO, None):
            given[each.name] = decided.get(each.name, usual(each))
    return Net(**given)


def usual(each: Field[Any]) -> Any:
    """What a field is unasked, where no family decides it."""
    return each.metadata.get("usual", each.default)


def unasked() -> ModelConfig:
    """Each field at what it is unasked; open where a family decides it."""
    return ModelConfig(**{each.name: usual(each) for each in fields(ModelConfig)})


def branch_width(net: Net, stage: int = 0) -> int:
    """Channels of the 3x3 convolutions in a stage, counted from 0."""
    return int(net.width * net.width_factor) * 2**stage


def label(net: Net) -> str:
    """A short readable name of letters, digits, - and _: resnet-110-dropout-full_preactivation."""
    words = ["plain" if net.shortcut == "none" else "resnet", str(net.depth)]
    for name, value in _unusual(net):
        if value != "none":
            words.append(value if name in ("block", "shortcut", "order", "weights") else f"{name}_{value}")
    return re.sub(r"[^A-Za-z0-9_-]", "_", "-".join(words))


def kind(net: Net) -> str:
    """What a table calls it beside its depth: plain, residual (basic, A), residual (basic, A, groups=32)."""
    plain = net.shortcut == "none"
    said = [] if plain and net.block == "basic" else [net.block]
    if not plain:
        said.append(net.shortcut)
    for name, value in _unusual(net):
        if name not in ("block", "shortcut"):
            said.append(value if name == "order" else f"{name}={value}")
    word = "plain" if plain else "residual"
    return f"{word} ({', '.join(said)})" if said else word


# What does not tell one net of a sweep from another.
_UNTOLD = ("family", "depth", "in_channels", "num_classes", "checkpointing", "head")


def _unusual(net: Net) -> Iterator[tuple[str, str]]:
    """The fields, and their values as text, that differ from what the papers do with this depth and block."""
    papers = resolve(ModelConfig(family=net.family, depth=net.depth))
    papers.shortcut = family_of(net).usual_shortcut(blocks.load(net.block).expansion)
    for each in sorted(fields(ModelConfig), key=lambda each: each.name == "weights"):  # told last
        value = getattr(net, each.name)
        if each.name not in _UNTOLD and value != getattr(papers, each.name):
            yield each.name, _text(each.name, value)


def _text(name: str, value: object) -> str:
    if name == "weights":
        return PurePath(str(value)).name
    return (
        f"{value:g}"
        if isinstance(value, float)
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
    )
