"""The kinds of shortcut and of activation order: what can be known of each before it is built. Free of torch.

A new one is an entry here and a class of the same key in `shortcuts` or `units`.
"""

from dataclasses import dataclass
from enum import Enum


class Projects(Enum):
    """Where a shortcut has weights of its own: a 1x1 convolution."""

    NEVER = "never"
    CHANGES = "where dimensions change"
    ALWAYS = "always"


@dataclass(frozen=True)
class Shortcut:
    """A kind of shortcut. Where it has no weights, it pads with zeros where dimensions change."""

    words: str
    projects: Projects = Projects.NEVER
    reads: tuple[str, ...] = ()  # the fields of ModelConfig that are for this kind, and others like it
    plain: bool = False  # there is no shortcut

    @property
    def pads(self) -> bool:
        return not self.plain and self.projects is Projects.NEVER

    def projects_at(self, changes_dimensions: bool) -> bool:
        """Whether the shortcut of a unit has weights of its own."""
        return self.projects is Projects.ALWAYS or (self.projects is Projects.CHANGES and changes_dimensions)


# he2015 Section 3.3 and he2016 Table 1.
SHORTCUTS = {
    "A": Shortcut("identity, zero-padded where dimensions change", reads=("zero_channels",)),
    "B": Shortcut(
        "projection where dimensions change, else identity", Projects.CHANGES, reads=("downsample",)
    ),
    "C": Shortcut("projection everywhere", Projects.ALWAYS, reads=("downsample",)),
    "none": Shortcut("a plain net", plain=True),
    "constant_scaling": Shortcut(
        "shortcut_scale x + branch_scale F", reads=("zero_channels", "shortcut_scale", "branch_scale")
    ),
    "exclusive_gating": Shortcut("(1 - g) x + g F", reads=("zero_channels", "gate_bias")),
    "shortcut_only_gating": Shortcut("(1 - g) x + F", reads=("zero_channels", "gate_bias")),
    "conv": Shortcut(
        "he2016's 1x1 convolution everywhere: the same as C", Projects.ALWAYS, reads=("downsample",)
    ),
    "dropout": Shortcut("dropout on the shortcut", reads=("zero_channels", "shortcut_dropout")),
}


@dataclass(frozen=True)
class Order:
    """Where a unit normalises and activates."""

    words: str
    activates_first: bool = False  # the unit starts with its activation, and leaves its sum as it is
    norm_first: bool = False  # each batch norm stands before its convolution, not after it
    norm_after_addition: bool = False  # the last batch norm reads the sum, not the branch

    def shares_last_norm(self, layers: int) -> bool:
        """Whether the branch's last gamma scales more than the branch, with so many convolutions."""
        return self.norm_after_addition or (self.norm_first and layers == 1)


# he2016 Figure 4 (a) to (e).
ORDERS = {
    "original": Order("conv-BN-ReLU-...-conv-BN, addition, ReLU"),
    "bn_after_addition": Order("conv-BN-ReLU-...-conv, addition, BN, ReLU", norm_after_addition=True),
    "relu_before_addition": Order("conv-BN-ReLU-...-conv-BN-ReLU, addition"),
    "relu_only_preactivation": Order("ReLU-conv-BN-...-ReLU-conv-BN, addition", activates_first=True),
    "full_preactivation": Order(
        "BN-ReLU-conv-...-BN-ReLU-conv, addition", activates_first=True, norm_first=True
    ),
}
# Where branch and shortcut of a pre-activated unit read one activated signal, and not the shortcut the raw one.
SHARED_PREACTIVATION = {
    "first_and_projections": "in the net's first unit, and where a shortcut has weights: he2016 Section 4.1 and"
    " appendix, KaimingHe/resnet-1k-layers",
    "first_and_changes": "in the net's first unit, and where dimensions change, padded or not: fb.resnet.torch",
    "projections": "where a shortcut has weights alone: kuangliu/pytorch-cifar, whose stem is a bare convolution",
}
# Where a zero-padded shortcut puts its zeros.
ZERO_CHANNELS = {
    "append": "after x's channels: fb.resnet.torch",
    "split": "on both sides: akamaster/pytorch_resnet_cifar10",
}
# Where a bottleneck strides.
STRIDE_ON = {
    "1x1": "the papers, KaimingHe/resnet-1k-layers",
    "3x3": "torchvision, and most programs in PyTorch",
}
