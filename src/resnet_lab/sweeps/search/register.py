"""The sweeper that searches."""

from resnet_lab.extras import register


@register("sweeper", "SearchSweeper")
def search() -> type:
    from resnet_lab.sweeps.search import SearchSweeper

    return SearchSweeper
