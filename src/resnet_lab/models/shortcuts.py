"""The shortcuts of he2015 Section 3.3 and he2016 Table 1: how each is added to what the branch computed.

A class says all that there is to know of one: what can be known before it is built, its layers, and its formula. A new
one is a class here, or in a file of yours: ``model.shortcut=my.ReZero``. Free of torch until layers are made.
"""

from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

from resnet_lab.models import orders
from resnet_lab.models.plans import ConvPlan, UnitPlan
from resnet_lab.targets import located

if TYPE_CHECKING:
    from torch import Tensor, nn

# Where a zero-padded shortcut puts its zeros.
ZERO_CHANNELS = {
    "append": "after x's channels: fb.resnet.torch",
    "split": "on both sides: akamaster/pytorch_resnet_cifar10",
}


class Projects(Enum):
    """Where a shortcut has weights of its own: a 1x1 convolution."""

    NEVER = "never"
    CHANGES = "where dimensions change"
    ALWAYS = "always"


class Shortcut:
    """The shortcut of one unit. Where it has no weights, it pads with zeros where dimensions change."""

    in_he2016: ClassVar[str | None] = None  # what its tables call it
    projects: ClassVar[Projects] = Projects.NEVER
    reads: ClassVar[
        tuple[str, ...]
    ] = ()  # the fields of ModelConfig that it uses, those of its parent included
    plain: ClassVar[bool] = False  # there is no shortcut

    def __init_subclass__(cls, name: str | None = None) -> None:
        """`name`: the value of ``model.shortcut``; None: its dotted path."""
        if name is not None:
            SHORTCUTS[name] = cls

    def __init__(self, net: Any, unit: UnitPlan) -> None:
        """`net` has every key of ``model``: each shortcut reads its own."""
        self.net, self.unit = net, unit

    def layers(self) -> "dict[str, nn.Module | nn.Parameter]":
        """Return the layers and parameters of its own, by name."""
        raise NotImplementedError

    def add(self, own: Any, x: "Tensor", branch: "Tensor") -> "Tensor":
        """Return shortcut(x) joined with `branch`; `own.NAME` is what `layers()` returned under this name."""
        raise NotImplementedError

    @classmethod
    def pads(cls) -> bool:
        return not cls.plain and cls.projects is Projects.NEVER

    @classmethod
    def projects_at(cls, changes_dimensions: bool) -> bool:
        """Return whether the shortcut of a unit has weights of its own."""
        return cls.projects is Projects.ALWAYS or (cls.projects is Projects.CHANGES and changes_dimensions)


SHORTCUTS: dict[str, type[Shortcut]] = {}


def find(name: str) -> type[Shortcut]:
    """Return the shortcut of this name or dotted path. Raises UserError where the path leads to none."""
    return SHORTCUTS[name] if name in SHORTCUTS else located(name, "model.shortcut", Shortcut)


class Identity(Shortcut, name="A"):
    """x + F; where dimensions change, every second pixel of x and zero channels: option A."""

    reads: ClassVar[tuple[str, ...]] = ("zero_channels",)

    def layers(self) -> "dict[str, nn.Module | nn.Parameter]":
        from resnet_lab.models.layers import padded_identity

        return {"identity": padded_identity(self.net, self.unit)}

    def add(self, own: Any, x: "Tensor", branch: "Tensor") -> "Tensor":
        return own.identity(x) + branch


class ProjectionWhereNeeded(Shortcut, name="B"):
    """W x + F where dimensions change, else x + F: option B."""

    projects = Projects.CHANGES
    reads = ("downsample",)

    def __init__(self, net: Any, unit: UnitPlan) -> None:
        super().__init__(net, unit)
        self.here = (Projection if unit.projects else Identity)(net, unit)

    def layers(self) -> "dict[str, nn.Module | nn.Parameter]":
        return self.here.layers()

    def add(self, own: Any, x: "Tensor", branch: "Tensor") -> "Tensor":
        return self.here.add(own, x, branch)


class Projection(Shortcut, name="C"):
    """W x + F, with batch norm after the 1x1 convolution W: option C.

    Where batch norms stand before convolutions there is none here. ResNet-D averages what a stride would skip.
    """

    in_he2016 = "1x1 conv shortcut"
    projects = Projects.ALWAYS
    reads = ("downsample",)

    def layers(self) -> "dict[str, nn.Module | nn.Parameter]":
        from resnet_lab.models.layers import average, conv, norm

        net, unit = self.net, self.unit
        pool = net.downsample == "pool"
        layers = [average(unit.stride)] if pool else []
        layers.append(conv(net, ConvPlan(unit.width_in, unit.width_out, 1, 1 if pool else unit.stride)))
        if net.batch_norm and not orders.find(net.order).norm_first:
            layers.append(norm(net, unit.width_out))
        return {str(number): layer for number, layer in enumerate(layers)}

    def add(self, own: Any, x: "Tensor", branch: "Tensor") -> "Tensor":
        for layer in own:
            x = layer(x)
        return x + branch


class Plain(Shortcut, name="none"):
    """F: no shortcut, a plain net."""

    plain = True

    def layers(self) -> "dict[str, nn.Module | nn.Parameter]":
        return {}

    def add(self, own: Any, x: "Tensor", branch: "Tensor") -> "Tensor":  # noqa: ARG002
        return branch


class ConstantScaling(Identity, name="constant_scaling"):
    """a x + b F: he2016 Figure 2(b)."""

    in_he2016 = "constant scaling"
    reads = ("zero_channels", "shortcut_scale", "branch_scale")

    def add(self, own: Any, x: "Tensor", branch: "Tensor") -> "Tensor":
        return self.net.shortcut_scale * own.identity(x) + self.net.branch_scale * branch


class ExclusiveGating(Identity, name="exclusive_gating"):
    """(1 - g) x + g F: he2016 Figure 2(c); g = sigmoid(1x1 convolution of x + bias) for each channel and pixel."""

    in_he2016 = "exclusive gating"
    reads = ("zero_channels", "gate_bias")

    def layers(self) -> "dict[str, nn.Module | nn.Parameter]":
        from resnet_lab.models.layers import gate

        return {**super().layers(), "gate": gate(self.net, self.unit)}

    def add(self, own: Any, x: "Tensor", branch: "Tensor") -> "Tensor":
        g = own.gate(x).sigmoid()
        return (1 - g) * own.identity(x) + g * branch


class ShortcutOnlyGating(ExclusiveGating, name="shortcut_only_gating"):
    """(1 - g) x + F: he2016 Figure 2(d)."""

    in_he2016 = "shortcut-only gating"

    def add(self, own: Any, x: "Tensor", branch: "Tensor") -> "Tensor":
        return (1 - own.gate(x).sigmoid()) * own.identity(x) + branch


class Convolution(Projection, name="conv"):
    """he2016 Figure 2(e): the same as option C."""


class Dropout(Identity, name="dropout"):
    """dropout(x) + F: he2016 Figure 2(f)."""

    in_he2016 = "dropout shortcut"
    reads = ("zero_channels", "shortcut_dropout")

    def layers(self) -> "dict[str, nn.Module | nn.Parameter]":
        from torch import nn

        return {**super().layers(), "dropout": nn.Dropout(self.net.shortcut_dropout)}

    def add(self, own: Any, x: "Tensor", branch: "Tensor") -> "Tensor":
        return own.dropout(own.identity(x)) + branch
