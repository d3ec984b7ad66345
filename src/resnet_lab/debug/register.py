"""What `debug` makes of a run's configuration, and the callbacks that watch such a run."""

from pathlib import Path
from typing import Any

from resnet_lab.extras import register


@register("debug", "configuration")
def configuration(config: Any) -> Any:
    from resnet_lab.debug.modes import debugged

    return debugged(config)


@register("debug", "callbacks")
def callbacks(mode: str, folder: Path, *, first: bool) -> list[Any]:
    """Return the callbacks of a mode; `first`: this is the process that writes the run's files."""
    if mode == "overfit":
        from resnet_lab.debug.overfit import ByHeart

        return [ByHeart()]
    if mode == "lr_range":
        from resnet_lab.debug.lr_range import LrRange

        return [LrRange(folder)]
    if mode == "batch":
        from resnet_lab.debug.largest_batch import LargestBatch

        return [LargestBatch(folder)]
    if mode == "profile" and first:
        from resnet_lab.debug.profile import Profile

        return [Profile(folder)]
    return []
