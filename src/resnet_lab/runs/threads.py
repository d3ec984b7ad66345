"""The threads that a run computes with: another number of them rounds differently, so they are fixed with its folder.

They follow from the configuration and from the cores that its launcher gave it, never from what else waits. Free of
torch.
"""

from resnet_lab.config.schema import TrainConfig
from resnet_lab.cores import cores
from resnet_lab.data.spec import DataConfig, ImageFolderConfig, OwnConfig

SMALL = (
    64  # pixels: images of at most this side gain little from a second thread, and runs side by side gain all
)


def threads_of(config: TrainConfig, share: int | None = None) -> int:
    """Return the threads of each process of a run that has this `share` of the cores; None: all of them."""
    if config.trainer.threads is not None:
        return config.trainer.threads
    if _side(config.data) <= SMALL:
        return 1
    return max(1, (share or cores()) // max(1, config.trainer.devices))


def _side(data: DataConfig) -> int:
    """Return the longer side of the training images, in pixels."""
    if isinstance(data, ImageFolderConfig):
        return data.crop
    if isinstance(data, OwnConfig):
        return max(data.height or SMALL + 1, data.width or SMALL + 1)
    return getattr(data, "size", None) or SMALL  # sets that are held in memory are of small images
