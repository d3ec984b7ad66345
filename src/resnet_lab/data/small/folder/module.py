"""Class folders of small images for a run: held in memory as the published sets are."""

import logging

import torch
from torch import Tensor

from resnet_lab.data.folders.fingerprint import tell_others
from resnet_lab.data.small.folder.cache import loaded
from resnet_lab.data.small.folder.choices import facts
from resnet_lab.data.small.module import Parts, SmallImages, Split
from resnet_lab.data.spec import SmallFolderConfig
from resnet_lab.data.subsets import shared_out

log = logging.getLogger(__name__)


def build(config: SmallFolderConfig, *, batch_size: int, drop_last: bool, seed: int) -> SmallImages:
    """The images as training, validation and test batches. Raises UserError as `info` does."""
    known, files, held = facts(config)

    def read() -> Parts:
        tell_others(files)
        if held.broken:
            log.warning("left out %d broken images, as %s", len(held.broken), held.broken[0])
        there = loaded(config, files)
        shared = shared_out(config, {part: labels for part, (_, labels) in there.items()})
        chosen: dict[str, Split] = {
            name: (_taken(there[part][0], indices), _taken(there[part][1], indices))
            for name, (part, indices) in shared.items()
        }
        return Parts(chosen, len(there[shared["test"][0]][1]), "test" not in there)

    return SmallImages(config, known, read, batch_size=batch_size, drop_last=drop_last, seed=seed)


def _taken(values: Tensor, chosen: Tensor) -> Tensor:
    """Those of `chosen`; all of them stay where they are mapped."""
    return values if torch.equal(chosen, torch.arange(len(values))) else values[chosen]
