"""What every description of a net has, whichever kind it is. Free of torch until a net is made."""

from dataclasses import Field, dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from resnet_lab.fields import number, path
from resnet_lab.models.counts import Layer

if TYPE_CHECKING:
    from torch import nn

Shape = tuple[int, int, int]  # (C, H, W)


def positive(default: float | None) -> Any:
    return number(default, above=0, most=100_000)


def training(made: Any) -> Any:
    """Return a field that is used only to train or initialise: it does not change what given weights compute."""
    made.metadata = MappingProxyType({**made.metadata, "training": True})
    return made


@dataclass
class NetConfig:
    """The part of a configuration that is called ``model``: which net, what it is called, and how it is made."""

    translated: ClassVar[bool] = True  # what other programs call its parameters is known

    # channels of the images; null: as the data has
    in_channels: int | None = positive(None)
    # outputs; null: the number of classes of the data
    num_classes: int | None = positive(None)
    # published weights (imagenet, IMAGENET1K_V1), a run folder or a file
    weights: str | None = training(path(None))

    @property
    def label(self) -> str:
        """Return a short readable name of letters, digits, - and _: resnet-20, densenet-drop_rate_0_1."""
        raise NotImplementedError

    @property
    def kind(self) -> str:
        """Return what a table calls it beside its depth: residual (basic, A), densenet (drop_rate=0.1)."""
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
        """Return the units of each stage of a net whose stages are alike; 0 of any other."""
        return 0

    @property
    def usual_side(self) -> int | None:
        """Return the side in pixels of the images that nets with such a stem are made for; None: nothing tells."""
        return None

    @property
    def begins_trained(self) -> bool:
        """Return whether its weights come from somewhere, so that a part of it may stay as it is."""
        return self.weights is not None

    @property
    def begins_published(self) -> bool:
        """Return whether it names weights that may have to be fetched."""
        return False

    @property
    def trained_head(self) -> str | None:
        """Return the name of the module that recipe.freeze=backbone trains; None: the last fully connected layer."""
        return None

    @property
    def fresh_head(self) -> str | None:
        """Return how the names of parameters begin that weights from elsewhere leave as they are; None: none."""
        return None

    def resolved(self) -> "NetConfig":
        """Return the same net with nothing left to its family. Raises UserError for an unknown family or block."""
        return self

    def check(
        self, shape: Shape | None = None, classes: int | None = None, *, free: bool = False
    ) -> "NetConfig":
        """Return the net for images of this shape and this many classes, resolved: it can be made.

        Raises UserError for a net that cannot be, makes no sense, or does not take such images; `free`: what it gives
        for them is the business of the run's own module.
        """
        raise NotImplementedError

    def make(self) -> "nn.Module":
        """Return the net, (N, in_channels, H, W) -> scores (N, num_classes), newly initialised.

        Of a description that was checked. Raises UserError where it cannot be made.
        """
        raise NotImplementedError

    def outline(self, shape: Shape) -> "nn.Module":  # noqa: ARG002
        """Return the net without weights, on the meta device where it works there: to be counted, not trained."""
        import torch

        with torch.device("meta"):
            return self.make()

    def layers(self, shape: Shape) -> list[Layer]:
        """Return the layers that one image of this shape passes, in the order of the forward pass."""
        from resnet_lab.models.counting import layers

        return layers(self.outline(shape), shape)

    def with_stages(self, units: int) -> Self:  # noqa: ARG002
        """Return the same net with this many units in each stage, where stages are alike."""
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


def usual(each: Field[Any]) -> Any:
    """Return what a field is unasked, where no family decides it."""
    return each.metadata.get("usual", each.default)
