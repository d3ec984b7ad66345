"""The precisions in which a run computes, and what they are called elsewhere. Free of torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Precision:
    """Weights are always of 32 bits; operations that allow it may take fewer."""

    lightning: str  # for its Trainer
    autocast: str | None = None  # PyTorch's name of the narrower type, as in ``getattr(torch, "bfloat16")``
    tf32: bool = True  # whether a GPU (Ampere and later) may convolve with inputs of 10 bits, which is faster


PRECISIONS = {
    "32": Precision("32-true"),
    "32-ieee": Precision("32-true", tf32=False),
    "bf16": Precision("bf16-mixed", "bfloat16"),
    "16": Precision("16-mixed", "float16"),
}
