"""What is known of other programs' weights."""

from types import ModuleType

from resnet_lab.extras import register


@register("weights of other programs", "foreign")
def foreign() -> ModuleType:
    """Return what translates names, finds a classifier beside a backbone, and says which net a file is of."""
    from resnet_lab.models import foreign

    return foreign
