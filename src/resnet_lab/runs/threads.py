"""The threads that a run computes with: another number of them rounds differently, so they are fixed with its folder.

They follow from the configuration and from the cores that its launcher gave it, never from what else waits. Free of
torch.
"""

from resnet_lab.config.schema import TrainConfig
from resnet_lab.cores import cores


def threads_of(config: TrainConfig, share: int | None = None) -> int:
    """Return the threads of each process of a run that has this `share` of the cores; None: all of them."""
    if config.trainer.threads is not None:
        return config.trainer.threads
    if config.data.is_small:
        return 1
    return max(1, (share or cores()) // max(1, config.trainer.devices))
