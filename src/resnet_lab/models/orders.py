"""The orders of activation of he2016 Figure 4: what can be known of each before it is built, and how a unit follows it.

he2016 Section 4.1 and its appendix leave nothing of a pre-activated net open, and its authors' own code
(KaimingHe/resnet-1k-layers, resnet-pre-act.lua) does the same: where dimensions change, batch norm and ReLU stand
before branch and projection part, so that both read the activated signal; elsewhere the shortcut carries the raw
one. The first unit is activated before its paths part; that code has batch norm and ReLU within the unit, and here
the stem has them: the same net. Other sources differ in the first unit and with zero-padded shortcuts, which that
code does not have: `SHARED_PREACTIVATION`.

Free of torch.
"""

from typing import TYPE_CHECKING, Any, ClassVar

from resnet_lab.targets import located

if TYPE_CHECKING:
    from torch import Tensor

# Where branch and shortcut of a pre-activated unit read one activated signal, and not the shortcut the raw one.
SHARED_PREACTIVATION = {
    "first_and_projections": "in the net's first unit, and where a shortcut has weights: he2016 Section 4.1 and"
    " appendix, KaimingHe/resnet-1k-layers",
    "first_and_changes": "in the net's first unit, and where dimensions change, padded or not: fb.resnet.torch",
    "projections": "where a shortcut has weights alone: kuangliu/pytorch-cifar, whose stem is a bare convolution",
}


class Order:
    """Where a unit normalises and activates."""

    in_he2016: ClassVar[str | None] = None  # what its tables call it
    # The unit starts with its activation, and leaves its sum as it is.
    activates_first: ClassVar[bool] = False
    norm_first: ClassVar[bool] = False  # each batch norm stands before its convolution, not after it
    norm_after_addition: ClassVar[bool] = False  # the last batch norm reads the sum, not the branch

    def __init_subclass__(cls, name: str | None = None) -> None:
        """`name`: the value of ``model.order``; None: its dotted path."""
        if name is not None:
            ORDERS[name] = cls

    @staticmethod
    def forward(unit: Any, x: "Tensor") -> "Tensor":
        """Return what a `Unit` gives for x.

        It has `relu`; `bn`, the batch norm that does not stand between two convolutions; `convolutions`, the branch but
        for that; `for_shortcut(x, activated)`, what the shortcut of a pre-activated unit reads; `add(x, branch)`.
        """
        raise NotImplementedError

    @classmethod
    def shares_last_norm(cls, layers: int) -> bool:
        """Return whether the branch's last gamma scales more than the branch, with so many convolutions."""
        return cls.norm_after_addition or (cls.norm_first and layers == 1)


ORDERS: dict[str, type[Order]] = {}


def find(name: str) -> type[Order]:
    """Return the order of this name or dotted path. Raises UserError where the path leads to none."""
    return ORDERS[name] if name in ORDERS else located(name, "model.order", Order)


class Original(Order, name="original"):
    """Figure 4(a), and he2015 Figure 2: conv-BN-ReLU-...-conv-BN, addition, ReLU."""

    @staticmethod
    def forward(unit: Any, x: "Tensor") -> "Tensor":
        return unit.relu(unit.add(x, unit.bn(unit.convolutions(x))))


class BNAfterAddition(Order, name="bn_after_addition"):
    """Figure 4(b): the branch ends with its last convolution; addition, BN, ReLU."""

    in_he2016 = "BN after addition"
    norm_after_addition = True

    @staticmethod
    def forward(unit: Any, x: "Tensor") -> "Tensor":
        return unit.relu(unit.bn(unit.add(x, unit.convolutions(x))))


class ReLUBeforeAddition(Order, name="relu_before_addition"):
    """Figure 4(c): nothing after the addition, so the signal can only grow."""

    in_he2016 = "ReLU before addition"

    @staticmethod
    def forward(unit: Any, x: "Tensor") -> "Tensor":
        return unit.add(x, unit.relu(unit.bn(unit.convolutions(x))))


class ReLUOnlyPreactivation(Order, name="relu_only_preactivation"):
    """Figure 4(d): ReLU-conv-BN-...-ReLU-conv-BN, addition."""

    in_he2016 = "ReLU-only pre-activation"
    activates_first = True

    @staticmethod
    def forward(unit: Any, x: "Tensor") -> "Tensor":
        activated = unit.relu(x)
        return unit.add(unit.for_shortcut(x, activated), unit.bn(unit.convolutions(activated)))


class FullPreactivation(Order, name="full_preactivation"):
    """Figure 4(e): BN-ReLU-conv-...-BN-ReLU-conv, addition."""

    in_he2016 = "full pre-activation"
    activates_first = True
    norm_first = True

    @staticmethod
    def forward(unit: Any, x: "Tensor") -> "Tensor":
        activated = unit.relu(unit.bn(x))
        return unit.add(unit.for_shortcut(x, activated), unit.convolutions(activated))
