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


def _open(allowed: Iterable[str], usual: str | None = None, *, own: bool = False) -> Any:
    return choice(AUTO, lambda: (AUTO, *allowed), usual=usual, own=own)


def _positive(default: float | None) -> Any:
    return number(default, above=0, most=100_000)


def _ratio(default: float) -> Any:
    return number(default, least=0, below=1)


@dataclass
class NetConfig:
    """What every net has, whichever kind it is: the part of a configuration that is called ``model``."""

    # channels of the images; null: as the data has
    in_channels: int | None = _positive(None)
    # outputs; null: the number of classes of the data
    num_classes: int | None = _positive(None)
    # published weights (imagenet, IMAGENET1K_V1), a run folder or a file
    weights: str | None = path(None)


@dataclass
class ModelConfig(NetConfig):
    """One residual network: a family plans the stages, a unit is block + shortcut + order.

    Every field is a key of the Hydra group ``model`` and a keyword of `create_model`;
    auto is what the papers do with this family, depth and block.
    """

    # cifar: 3 stages, 6n+2 or 9n+2 layers; wide: 6n+4; imagenet: 4 stages, the depths with a name
    family: str = choice("cifar", FAMILIES)
    # number of weighted layers, as the papers count them
    depth: int = _positive(20)
    # kind of branch, or the dotted path to your own; auto: as in the papers at this depth
    block: str = choice(AUTO, lambda: (AUTO, *blocks.names()), own=True)
    # kind of shortcut, or the dotted path to your own; auto: A on CIFAR if no channels are added within a stage, else B
    shortcut: str = _open(SHORTCUTS, own=True)
    # order of convolution, batch norm and ReLU (He et al., 2016), or the dotted path to your own
    order: str = choice("original", ORDERS, own=True)
    # first layers: 3x3, 7x7 with max pooling, or deep (ResNet-D)
    stem: str = _open(STEM_STRIDES)
    # channels of the first stage, doubled at each further stage; null: 16 or 64
    width: int | None = _positive(None)
    # which convolution of a bottleneck has the stride: 1x1 (the papers) or 3x3 (torchvision)
    stride_on: str = _open(STRIDE_ON)
    # where shortcut A puts the added zero channels; weights from elsewhere need it to be stated
    zero_channels: str = _open(ZERO_CHANNELS, usual="append")
    # full_preactivation: for which units the shortcut reads the activated signal, too
    shared_preactivation: str = _open(SHARED_PREACTIVATION, usual="first_and_projections")
    # conv: projections have a stride; pool: they follow an average pooling (ResNet-D)
    downsample: str = choice("conv", ("conv", "pool"))
    # groups of a bottleneck's 3x3 convolution (ResNeXt)
    groups: int = _positive(1)
    # factor of the width of the 3x3 convolutions (wide ResNets)
    width_factor: float = _positive(1.0)
    # fan of He initialization
    init_fan: str = choice("fan_out", ("fan_in", "fan_out"))
    # initialize the last batch-norm gamma of each branch with 0 (not in the papers)
    zero_init_gamma: bool = False
    # use batch normalization
    batch_norm: bool = True
    # constant_scaling: factor of the shortcut
    shortcut_scale: float = 0.5
    # constant_scaling: factor of the branch
    branch_scale: float = 0.5
    # gating: initial bias of the gates
    gate_bias: float = -6.0
    # dropout: rate on the shortcut
    shortcut_dropout: float = _ratio(0.5)
    # dropout rate before the last convolution of a branch (wide ResNets)
    branch_dropout: float = _ratio(0.0)
    # stochastic depth: rate at the last unit, growing linearly from 0
    drop_path: float = _ratio(0.0)
    # recompute activations in the backward pass: less memory, more time, the same bits
    checkpointing: bool = local(False)
    # keep: load the classifier with the weights; reset: start with a new one
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
    """Return the description with every choice filled in; a Net is returned unchanged.

    Raises UserError for an unknown family or block.
    """
    if isinstance(config, Net):
        return config
    given = {each.name: getattr(config, each.name) for each in fields(config)}
    if not any(value == AUTO for value in given.values()) and config.width is not None:
        return Net(**given)  # as a folder has it: code of one's own is not imported to read it
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
    said = [] if plain and net.block == "basic" else [_text("block", net.block)]
    if not plain:
        said.append(_text("shortcut", net.shortcut))
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
    if "." not in net.block:  # to name a net imports nothing
        papers.shortcut = family_of(net).usual_shortcut(blocks.load(net.block).expansion)
    for each in sorted(fields(ModelConfig), key=lambda each: each.name == "weights"):  # told last
        value = getattr(net, each.name)
        if each.name not in _UNTOLD and value != getattr(papers, each.name):
            yield each.name, _text(each.name, value)


def _text(name: str, value: object) -> str:
    if name == "weights":
        return PurePath(str(value)).name
    if name in ("block", "shortcut", "order"):
        return str(value).rpartition(".")[2]
    return (
        f"{value:g}"
        if isinstance(value, float)
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
    )
