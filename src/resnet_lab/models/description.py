"""What a network is, in words: the dataclass that names every choice, and which choices can be. Free of torch."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Self

from resnet_lab.errors import UserError, unknown
from resnet_lab.fields import check as check_fields
from resnet_lab.fields import choice, local, number
from resnet_lab.models import blocks, orders, shortcuts
from resnet_lab.models.blocks import Block
from resnet_lab.models.net_config import NetConfig, Shape, positive, training, usual
from resnet_lab.models.orders import ORDERS, SHARED_PREACTIVATION
from resnet_lab.models.plans import FAMILIES, STEM_STRIDES, STRIDE_ON, ConvPlan, Family, UnitPlan
from resnet_lab.models.shortcuts import SHORTCUTS, ZERO_CHANNELS

if TYPE_CHECKING:
    from torch import nn

AUTO = "auto"
PUBLISHED = ("imagenet", "DEFAULT")  # names for the most accurate published weights


def _open(allowed: Iterable[str], usual: str | None = None, *, own: bool = False) -> Any:
    return choice(AUTO, lambda: (AUTO, *allowed), usual=usual, own=own)


def _ratio(default: float) -> Any:
    return training(number(default, least=0, below=1))


@dataclass
class ModelConfig(NetConfig):
    """One residual network: a family plans the stages, a unit is block + shortcut + order.

    Every field is a key of the Hydra group ``model`` and a keyword of `create_model`;
    auto is what the papers do with this family, depth and block.
    """

    # cifar: 3 stages, 6n+2 or 9n+2 layers; wide: 6n+4; imagenet: 4 stages, the depths with a name
    family: str = choice("cifar", FAMILIES)
    # number of weighted layers, as the papers count them
    depth: int = positive(20)
    # kind of branch, or the dotted path to your own; auto: as in the papers at this depth
    block: str = choice(AUTO, lambda: (AUTO, *blocks.names()), own=True)
    # kind of shortcut, or the dotted path to your own; auto: A on CIFAR if no channels are added within a stage, else B
    shortcut: str = _open(SHORTCUTS, own=True)
    # order of convolution, batch norm and ReLU (He et al., 2016), or the dotted path to your own
    order: str = choice("original", ORDERS, own=True)
    # first layers: 3x3, 7x7 with max pooling, or deep (ResNet-D)
    stem: str = _open(STEM_STRIDES)
    # channels of the first stage, doubled at each further stage; null: 16 or 64
    width: int | None = positive(None)
    # which convolution of a bottleneck has the stride: 1x1 (the papers) or 3x3 (torchvision)
    stride_on: str = _open(STRIDE_ON)
    # where shortcut A puts the added zero channels; weights from elsewhere need it to be stated
    zero_channels: str = _open(ZERO_CHANNELS, usual="append")
    # full_preactivation: for which units the shortcut reads the activated signal, too
    shared_preactivation: str = _open(SHARED_PREACTIVATION, usual="first_and_projections")
    # conv: projections have a stride; pool: they follow an average pooling (ResNet-D)
    downsample: str = choice("conv", ("conv", "pool"))
    # groups of a bottleneck's 3x3 convolution (ResNeXt)
    groups: int = positive(1)
    # factor of the width of the 3x3 convolutions (wide ResNets)
    width_factor: float = positive(1.0)
    # fan of He initialization
    init_fan: str = training(choice("fan_out", ("fan_in", "fan_out")))
    # initialize the last batch-norm gamma of each branch with 0 (not in the papers)
    zero_init_gamma: bool = training(field(default=False))
    # use batch normalization
    batch_norm: bool = True
    # constant_scaling: factor of the shortcut
    shortcut_scale: float = 0.5
    # constant_scaling: factor of the branch
    branch_scale: float = 0.5
    # gating: initial bias of the gates
    gate_bias: float = training(field(default=-6.0))
    # dropout: rate on the shortcut
    shortcut_dropout: float = _ratio(0.5)
    # dropout rate before the last convolution of a branch (wide ResNets)
    branch_dropout: float = _ratio(0.0)
    # stochastic depth: rate at the last unit, growing linearly from 0
    drop_path: float = _ratio(0.0)
    # recompute activations in the backward pass: less memory, more time, the same bits
    checkpointing: bool = training(local(False))
    # keep: load the classifier with the weights; reset: start with a new one
    head: str = training(choice("keep", ("keep", "reset")))

    @property
    def usual_side(self) -> int:
        return 224 if self.family == "imagenet" and self.stem != "3x3" else 32

    @property
    def begins_published(self) -> bool:
        weights = self.weights or ""
        return weights in PUBLISHED or weights.startswith("IMAGENET")

    @property
    def fresh_head(self) -> str | None:
        return "fc." if self.head == "reset" else None

    def family_plan(self) -> Family:
        """Return the plan of its stages. Raises UserError for a family that is not there."""
        if self.family not in FAMILIES:
            raise unknown("model.family", self.family, FAMILIES)
        return FAMILIES[self.family]

    def resolved(self) -> "Net":
        given = {each.name: getattr(self, each.name) for each in fields(ModelConfig)}
        if AUTO not in given.values() and self.width is not None:
            return Net(**given)  # as a folder has it: the user's code is not imported to read it
        family = self.family_plan()
        block = family.usual_block(self.depth) if self.block == AUTO else self.block
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
        for each in fields(ModelConfig):
            if given[each.name] in (AUTO, None):
                given[each.name] = decided.get(each.name, usual(each))
        return Net(**given)

    def check(self, shape: Shape | None = None, classes: int | None = None, *, free: bool = False) -> "Net":  # noqa: ARG002
        """Return the resolved net; where nothing says otherwise with 3 channels and the classes of its family."""
        check_fields(self, "model.")
        self._check_depth()
        net = self.resolved()
        for reason in _senseless(net):
            raise UserError(f"model: {reason}")
        channels, *sides = shape or (3, net.stride, net.stride)
        if min(sides) < net.stride:
            raise UserError(
                f"images of {sides[0]}x{sides[1]} pixels are too small for {net.label}: "
                f"its strides divide each side by {net.stride}, so {net.stride}x{net.stride} is the least"
            )
        return replace(
            net,
            in_channels=channels if net.in_channels is None else net.in_channels,
            num_classes=(classes or net.family_plan().classes)
            if net.num_classes is None
            else net.num_classes,
        )

    def _check_depth(self) -> None:
        """The depth must be one that the family has with this block; the error names the two nearest."""
        family = self.family_plan()

        def block_at(depth: int) -> str:
            return family.usual_block(depth) if self.block == AUTO else self.block

        def exists(depth: int) -> bool:
            return family.units(depth, blocks.load(block_at(depth)).layers) is not None

        if exists(self.depth):
            return
        below = next(filter(exists, range(self.depth - 1, 0, -1)), None)
        above = next(filter(exists, range(self.depth + 1, self.depth + 500)), None)
        near = " and ".join(str(depth) for depth in (below, above) if depth is not None)
        block = block_at(self.depth)
        raise UserError(
            f"model.depth={self.depth} is not {family.form(blocks.load(block).layers)} "
            f"(family {self.family}, {block} units): the nearest that are: {near}"
        )

    def without_weights(self) -> Self:
        return replace(self, weights=None, head="keep")

    def without_noise(self) -> Self:
        return replace(self, branch_dropout=0.0, drop_path=0.0)


@dataclass
class Net(ModelConfig):
    """A description with nothing left open, made by `resolved`: what is labelled, hashed, planned and built."""

    width: int = 16

    @property
    def label(self) -> str:
        """Return a short readable name: resnet-110-dropout-full_preactivation."""
        words = ["plain" if self.shortcut == "none" else "resnet", str(self.depth)]
        for name, value in _unusual(self):
            if value != "none":
                words.append(
                    value if name in ("block", "shortcut", "order", "weights") else f"{name}_{value}"
                )
        return re.sub(r"[^A-Za-z0-9_-]", "_", "-".join(words))

    @property
    def kind(self) -> str:
        """Return what a table calls it: plain, residual (basic, A), residual (basic, A, groups=32)."""
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
        return int(STEM_STRIDES[self.stem] * 2 ** (self.family_plan().stages - 1))

    @property
    def alike_stages(self) -> int:
        if self.checkpointing or self.family_plan().named is not None:
            return 0
        units = self.family_plan().units(self.depth, blocks.load(self.block).layers)
        return units[0] if units else 0

    def with_stages(self, units: int) -> Self:
        """Return the same net with this many units in each stage, which are alike."""
        family = self.family_plan()
        depth = family.stages * units * blocks.load(self.block).layers + family.other_layers
        return replace(self, depth=depth)

    def normalises_pixels(self, height: int, width: int) -> bool:
        return self.batch_norm and max(height, width) <= self.stride

    def resolved(self) -> "Net":
        return self

    def make(self) -> "nn.Module":
        from resnet_lab.models.resnet import ResNet

        return ResNet(self)

    def plan(self) -> list[list[UnitPlan]]:
        """Return the units of each stage: each further stage halves the resolution and doubles the width."""
        block, shortcut = blocks.load(self.block), shortcuts.find(self.shortcut)
        units = self.family_plan().units(self.depth, block.layers)
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


TRAINING = tuple(each.name for each in fields(ModelConfig) if each.metadata.get("training"))


def unasked() -> ModelConfig:
    """Return a description with each field at what it is unasked; open where a family decides it."""
    return ModelConfig(**{each.name: usual(each) for each in fields(ModelConfig)})


# What does not tell one net of a sweep from another.
_ALIKE = ("family", "depth", "in_channels", "num_classes", "checkpointing", "head")


def _unusual(net: Net) -> Iterator[tuple[str, str]]:
    """Yield the fields, and their values as text, that differ from what the papers do with this depth and block."""
    papers = ModelConfig(family=net.family, depth=net.depth).resolved()
    if "." not in net.block:  # to name a net imports nothing
        papers.shortcut = net.family_plan().usual_shortcut(blocks.load(net.block).expansion)
    for each in sorted(fields(ModelConfig), key=lambda each: each.name == "weights"):  # which come last
        value = getattr(net, each.name)
        if each.name not in _ALIKE and value != getattr(papers, each.name):
            yield each.name, _text(each.name, value)


def _text(name: str, value: object) -> str:
    if name == "weights":
        return PurePath(str(value)).name
    return str(value).rpartition(".")[2] if name in ("block", "shortcut", "order") else value_text(value)


def value_text(value: object) -> str:
    """Return a value as one types it: true, 0.5, basic."""
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _senseless(net: Net) -> Iterator[str]:
    """Yield why this net makes no sense."""
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
    # Choices that this net would not read: two runs that differ in them would be one.
    if net.weights is None and net.head == "reset":
        yield "head=reset is for model.weights: without them the whole net starts fresh"
    every = ((each, getattr(net, each.name)) for each in fields(net))
    asked = {each.name: value for each, value in every if value != usual(each)}
    for name, value in asked.items():
        readers = [kind for kind, other in SHORTCUTS.items() if name in other.reads]
        if readers and name not in shortcut.reads:
            yield f"{name}={value} is for shortcut={', '.join(readers)}; {net.shortcut} does not read it"
        if net.weights is not None and name in ("init_fan", "zero_init_gamma"):
            yield f"{name}={value} is for a fresh net: model.weights fill all that it would begin with"
    shared = asked.get("shared_preactivation")
    if shared and not order.activates_first:
        readers = [kind for kind, other in ORDERS.items() if other.activates_first]
        yield f"shared_preactivation={shared} is for order={', '.join(readers)}; {net.order} does not read it"
    if shared == "first_and_changes" and not shortcut.pads():
        readers = [kind for kind, other in SHORTCUTS.items() if other.pads()]
        yield f"shared_preactivation={shared} is for shortcut={', '.join(readers)}; {net.shortcut} is the same without"
