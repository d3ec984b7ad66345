"""What a network is, in words: the dataclass that names every choice. Free of torch."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, ClassVar, Self

from resnet_lab.errors import UserError, unknown
from resnet_lab.fields import choice, local, number, path
from resnet_lab.models import blocks, shortcuts
from resnet_lab.models.blocks import Block
from resnet_lab.models.families import FAMILIES, STEM_STRIDES, STRIDE_ON, Family
from resnet_lab.models.orders import ORDERS, SHARED_PREACTIVATION
from resnet_lab.models.plans import ConvPlan, UnitPlan
from resnet_lab.models.shortcuts import SHORTCUTS, ZERO_CHANNELS

AUTO = "auto"


def _open(allowed: Iterable[str], usual: str | None = None, *, own: bool = False) -> Any:
    return choice(AUTO, lambda: (AUTO, *allowed), usual=usual, own=own)


def _positive(default: float | None) -> Any:
    return number(default, above=0, most=100_000)


def _ratio(default: float) -> Any:
    return number(default, least=0, below=1)


def _training(made: Any) -> Any:
    """A field that only training and a fresh start read: nets that differ in it compute the same in a test."""
    made.metadata = MappingProxyType({**made.metadata, "training": True})
    return made


@dataclass
class NetConfig:
    """What every net has, whichever kind it is: the part of a configuration that is called ``model``."""

    translated: ClassVar[bool] = True  # what other programs call its parameters is known

    # channels of the images; null: as the data has
    in_channels: int | None = _positive(None)
    # outputs; null: the number of classes of the data
    num_classes: int | None = _positive(None)
    # published weights (imagenet, IMAGENET1K_V1), a run folder or a file
    weights: str | None = _training(path(None))

    @property
    def label(self) -> str:
        """A short readable name of letters, digits, - and _: resnet-20, densenet-drop_rate_0_1."""
        raise NotImplementedError

    @property
    def kind(self) -> str:
        """What a table calls it beside its depth: residual (basic, A), densenet (drop_rate=0.1)."""
        raise NotImplementedError

    @property
    def tags(self) -> list[str]:
        """Words that a tracker groups runs by."""
        return [self.kind]

    @property
    def paper_depth(self) -> int | None:
        """Weighted layers as the papers count them; None of a net that no paper of ours counts."""
        return None

    @property
    def alike_stages(self) -> int:
        """Units of each stage of a net whose stages are alike; 0 of any other."""
        return 0

    @property
    def usual_side(self) -> int | None:
        """The side in pixels of the images that nets with such a stem are made for; None: nothing tells."""
        return None

    @property
    def begins_trained(self) -> bool:
        """Whether its weights come from somewhere, so that a part of it may stay as it is."""
        return self.weights is not None

    @property
    def trained_head(self) -> str | None:
        """The name of the module that recipe.freeze=backbone trains; None: the last fully connected layer."""
        return None

    def resolved(self) -> "NetConfig":
        """Return the same net with nothing left to its family. Raises UserError for an unknown family or block."""
        return self

    def with_stages(self, units: int) -> Self:  # noqa: ARG002
        """Return the same net with so many units in each stage, where stages are alike."""
        return self

    def without_weights(self) -> Self:
        """Return the same net that takes its weights from nowhere."""
        return replace(self, weights=None)

    def without_noise(self) -> Self:
        """Return the same net without what keeps it from learning a batch by heart."""
        return self

    def normalises_pixels(self, height: int, width: int) -> bool:  # noqa: ARG002
        """Return whether batch norm sees maps of one pixel, for images of this size."""
        return False


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
    init_fan: str = _training(choice("fan_out", ("fan_in", "fan_out")))
    # initialize the last batch-norm gamma of each branch with 0 (not in the papers)
    zero_init_gamma: bool = _training(field(default=False))
    # use batch normalization
    batch_norm: bool = True
    # constant_scaling: factor of the shortcut
    shortcut_scale: float = 0.5
    # constant_scaling: factor of the branch
    branch_scale: float = 0.5
    # gating: initial bias of the gates
    gate_bias: float = _training(field(default=-6.0))
    # dropout: rate on the shortcut
    shortcut_dropout: float = _training(_ratio(0.5))
    # dropout rate before the last convolution of a branch (wide ResNets)
    branch_dropout: float = _training(_ratio(0.0))
    # stochastic depth: rate at the last unit, growing linearly from 0
    drop_path: float = _training(_ratio(0.0))
    # recompute activations in the backward pass: less memory, more time, the same bits
    checkpointing: bool = _training(local(False))
    # keep: load the classifier with the weights; reset: start with a new one
    head: str = _training(choice("keep", ("keep", "reset")))

    @property
    def usual_side(self) -> int:
        return 224 if self.family == "imagenet" and self.stem != "3x3" else 32

    def resolved(self) -> "Net":
        return resolve(self)

    def without_weights(self) -> Self:
        return replace(self, weights=None, head="keep")

    def without_noise(self) -> Self:
        return replace(self, branch_dropout=0.0, drop_path=0.0)


def family_of(config: ModelConfig) -> Family:
    """The plan of its stages; raises UserError for a family that is not there."""
    if config.family not in FAMILIES:
        raise unknown("model.family", config.family, FAMILIES)
    return FAMILIES[config.family]


@dataclass
class Net(ModelConfig):
    """A description with nothing left open, made by `resolve`: what is labelled, hashed, planned and built."""

    width: int = 16

    @property
    def label(self) -> str:
        """A short readable name: resnet-110-dropout-full_preactivation."""
        words = ["plain" if self.shortcut == "none" else "resnet", str(self.depth)]
        for name, value in _unusual(self):
            if value != "none":
                words.append(
                    value if name in ("block", "shortcut", "order", "weights") else f"{name}_{value}"
                )
        return re.sub(r"[^A-Za-z0-9_-]", "_", "-".join(words))

    @property
    def kind(self) -> str:
        """What a table calls it: plain, residual (basic, A), residual (basic, A, groups=32)."""
        plain = self.shortcut == "none"
        said = [] if plain and self.block == "basic" else [_text("block", self.block)]
        if not plain:
            said.append(_text("shortcut", self.shortcut))
        for name, value in _unusual(self):
            if name not in ("block", "shortcut"):
                said.append(value if name == "order" else f"{name}={value}")
        word = "plain" if plain else "residual"
        return f"{word} ({', '.join(said)})" if said else word

    @property
    def tags(self) -> list[str]:
        if self.shortcut == "none":
            return ["plain", self.block, f"depth {self.depth}"]
        return ["residual", self.block, f"shortcut {self.shortcut}", f"depth {self.depth}"]

    @property
    def paper_depth(self) -> int:
        return self.depth

    @property
    def stride(self) -> int:
        """By what the net divides each side of an image, before its pooling."""
        return int(STEM_STRIDES[self.stem] * 2 ** (family_of(self).stages - 1))

    @property
    def alike_stages(self) -> int:
        if self.checkpointing or family_of(self).named is not None:
            return 0
        units = family_of(self).units(self.depth, blocks.load(self.block).layers)
        return units[0] if units else 0

    def with_stages(self, units: int) -> Self:
        """Return the same net with so many units in each stage, which are alike."""
        family = family_of(self)
        depth = family.stages * units * blocks.load(self.block).layers + family.other_layers
        return replace(self, depth=depth)

    def normalises_pixels(self, height: int, width: int) -> bool:
        return self.batch_norm and max(height, width) <= self.stride

    def plan(self) -> list[list[UnitPlan]]:
        """Return the units of each stage: each further stage halves the resolution and doubles the width."""
        block, shortcut = blocks.load(self.block), shortcuts.find(self.shortcut)
        units = family_of(self).units(self.depth, block.layers)
        if units is None:
            raise UserError(f"family {self.family} has no net of depth {self.depth} with {self.block} units")
        stages: list[list[UnitPlan]] = []
        made, width_in = 0, self.width
        for stage, length in enumerate(units):
            planned = []
            for unit in range(length):
                stride = 2 if stage > 0 and unit == 0 else 1
                convolutions = tuple(self._convolutions(block, stage, width_in, stride))
                width_out = convolutions[-1].width_out
                changes = stride != 1 or width_in != width_out
                projects = shortcut.projects_at(changes)
                shares = projects or (changes and self.shared_preactivation == "first_and_changes")
                activated = made == 0 and self.shared_preactivation != "projections"
                made += 1
                rate = self.drop_path * made / sum(units)
                planned.append(UnitPlan(convolutions, activated, projects, shares, rate))
                width_in = width_out
            stages.append(planned)
        return stages

    def branch_width(self, stage: int = 0) -> int:
        """Return the channels of the 3x3 convolutions in a stage, counted from 0."""
        return int(self.width * self.width_factor) * 2**stage

    def _convolutions(self, block: Block, stage: int, width_in: int, stride: int) -> Iterator[ConvPlan]:
        """Plan the convolutions of one branch. The first 3x3, or else the first, has the stride; see `stride_on`."""
        width = self.branch_width(stage)
        # Only a block that widens its end keeps the papers' width there while its 3x3 convolutions grow.
        width_end = width if block.expansion == 1 else self.width * 2**stage * block.expansion
        first_wide = next((i for i, kernel in enumerate(block.kernels) if kernel > 1), 0)
        strided = 0 if self.stride_on == "1x1" else first_wide
        for i, kernel in enumerate(block.kernels):
            width_out = width_end if i == block.layers - 1 else width
            groups = self.groups if kernel > 1 else 1
            yield ConvPlan(width_in, width_out, kernel, stride if i == strided else 1, groups)
            width_in = width_out


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


TRAINING = tuple(each.name for each in fields(ModelConfig) if each.metadata.get("training"))


def usual(each: Field[Any]) -> Any:
    """What a field is unasked, where no family decides it."""
    return each.metadata.get("usual", each.default)


def unasked() -> ModelConfig:
    """Each field at what it is unasked; open where a family decides it."""
    return ModelConfig(**{each.name: usual(each) for each in fields(ModelConfig)})


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
