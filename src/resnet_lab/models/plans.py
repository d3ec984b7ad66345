"""How a depth becomes stages and units, before anything is built, and what each family of networks leaves unsaid.

Free of torch.
"""

from dataclasses import dataclass
from math import prod

STEM_STRIDES = {"3x3": 1, "7x7": 4, "deep": 4}  # the large stems end in a max pooling of stride 2

# Where a bottleneck strides.
STRIDE_ON = {
    "1x1": "the papers, KaimingHe/resnet-1k-layers",
    "3x3": "torchvision, and most programs in PyTorch",
}

Units = tuple[int, ...]  # of each stage


@dataclass(frozen=True)
class Family:
    """Networks that share a plan of their stages, and the choices that their papers make."""

    stem: str
    width: int  # channels of the stem, and of the first stage's 3x3 convolutions
    classes: int
    stride_on: str
    bottleneck_from: int | None = None  # the depth from which the papers use bottlenecks; None: never unasked
    shortcut: str = "B"  # with blocks that end as wide as their 3x3 convolutions; with bottlenecks always B
    stages: int = 3
    other_layers: int = 2  # weighted layers outside the units
    named: tuple[Units, ...] | None = None  # the nets there are; None: stages of n units each, for any n

    def units(self, depth: int, layers: int) -> Units | None:
        """Return the units of each stage at this depth, with `layers` weighted layers a unit; None: no such net."""
        units, rest = divmod(depth - self.other_layers, layers)
        if rest or units < 1:
            return None
        if self.named is not None:
            return next((net for net in self.named if sum(net) == units), None)
        return None if units % self.stages else (units // self.stages,) * self.stages

    def form(self, layers: int) -> str:
        """Return what its depths look like, for example 6n+2."""
        return "one of its depths" if self.named else f"{self.stages * layers}n+{self.other_layers}"

    def usual_block(self, depth: int) -> str:
        return "basic" if self.bottleneck_from is None or depth < self.bottleneck_from else "bottleneck"

    def usual_shortcut(self, expansion: int) -> str:
        return self.shortcut if expansion == 1 else "B"


FAMILIES = {
    "cifar": Family(  # 6n+2 and 9n+2: he2015 Section 4.2, he2016 Section 5
        stem="3x3", width=16, classes=10, stride_on="1x1", shortcut="A"
    ),
    "wide": Family(  # 6n+4, counting three projections and not the classifier: 1605.07146 Table 1
        stem="3x3", width=16, classes=10, stride_on="1x1", other_layers=4
    ),
    "imagenet": Family(  # he2015 Table 1, with the stride where torchvision's weights have it
        stem="7x7",
        width=64,
        classes=1000,
        stride_on="3x3",
        bottleneck_from=50,
        stages=4,
        # 18; 34 and 50; 101; 152 of he2015 Table 1; 200 of he2016 Section 5
        named=((2, 2, 2, 2), (3, 4, 6, 3), (3, 4, 23, 3), (3, 8, 36, 3), (3, 24, 36, 3)),
    ),
}


@dataclass(frozen=True)
class ConvPlan:
    """One padded convolution: only its stride shrinks the image."""

    width_in: int  # channels
    width_out: int
    kernel: int  # side in pixels
    stride: int = 1
    groups: int = 1


@dataclass(frozen=True)
class UnitPlan:
    """One unit: the convolutions of its branch in order, and what its shortcut reads."""

    convolutions: tuple[ConvPlan, ...]
    activated: bool  # what it gets is activated already: the stem did it, for the first unit of the net
    projects: bool  # its shortcut has weights of its own
    shares_activation: bool  # a pre-activated unit: the shortcut, too, reads the activated signal
    drop_path: float  # probability that its branch is left out in training

    @property
    def width_in(self) -> int:
        return self.convolutions[0].width_in

    @property
    def width_out(self) -> int:
        return self.convolutions[-1].width_out

    @property
    def stride(self) -> int:
        return prod(conv.stride for conv in self.convolutions)
