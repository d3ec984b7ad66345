"""What `evaluate --details` says of several nets beyond the answers of each."""

from collections.abc import Callable

from resnet_lab.extras import register


@register("comparison of answers", "agreement")
def agreement() -> Callable[..., object]:
    from resnet_lab.trained.agreement import compare

    return compare
