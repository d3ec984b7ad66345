"""The plan of a unit, before anything is built. Free of torch."""

from dataclasses import dataclass
from math import prod
from typing import Protocol


class Choices(Protocol):
    """What layers read of a net's description."""

    batch_norm: bool
    init_fan: str
    stem: str
    zero_channels: str
    gate_bias: float


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
