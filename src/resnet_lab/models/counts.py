"""What a net has and costs, for one image. Free of torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Layer:
    """One layer in the order of the forward pass."""

    name: str
    kind: str  # its class
    output: tuple[int, ...]  # (C, H, W), or (C,)
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class Counts:
    parameters: int
    multiply_adds: int  # of convolutions and fully connected layers
    layers: int  # convolutions and fully connected layers, projections and gates included
