"""The place that is a Ray cluster."""

from resnet_lab.extras import register


@register("place", "ray")
def ray() -> tuple[type, type]:
    from resnet_lab.sweeps.ray import Ray, RayOptions

    return Ray, RayOptions
