"""What is known of other programs' weights: their names, a classifier of their own, and which net a file is of."""

from collections.abc import Callable
from typing import Any

from resnet_lab.extras import register


@register("weights of other programs", "translated")
def translated() -> Callable[..., dict[str, Any]]:
    from resnet_lab.models.foreign import translated

    return translated


@register("weights of other programs", "classifier")
def classifier() -> Callable[..., dict[str, Any]]:
    from resnet_lab.models.foreign import classifier_beside

    return classifier_beside


@register("weights of other programs", "difference")
def difference() -> Callable[..., str]:
    from resnet_lab.models.foreign.recognise import difference

    return difference
