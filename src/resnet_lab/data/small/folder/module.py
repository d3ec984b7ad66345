"""Class folders of small images for a run: held in memory as the published sets are."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from resnet_lab.data.small.folder.cache import loaded
from resnet_lab.data.small.folder.choices import facts
from resnet_lab.data.small.module import Parts, SmallImages, Split
from resnet_lab.data.spec import SmallFolderConfig
from resnet_lab.data.subsets import shared_out

log = logging.getLogger(__name__)


@dataclass
class _Part:
    images: Tensor
    labels: Tensor


def build(config: SmallFolderConfig, *, batch_size: int, drop_last: bool, seed: int) -> SmallImages:
    """The images as training, validation and test batches. Raises UserError as `info` does."""
    known, files, held = facts(config)

    def read() -> Parts:
        if held.broken:
            log.warning("left out %d broken images, as %s", len(held.broken), held.broken[0])
        there = {part: _Part(*images) for part, images in loaded(config, files).items()}
        tests = there["test" if "test" in there else "train"]
        return Parts(_chosen(config, there), len(tests.labels), "test" not in there)

    return SmallImages(config, known, read, batch_size=batch_size, drop_last=drop_last, seed=seed)


def _chosen(config: SmallFolderConfig, there: Mapping[str, _Part]) -> dict[str, Split]:
    return {
        name: (_taken(part.images, chosen), _taken(part.labels, chosen))
        for name, (part, chosen) in shared_out(config, there).items()
    }


def _taken(values: Tensor, chosen: Tensor) -> Tensor:
    """Those of `chosen`; all of them stay where they are mapped."""
    return values if torch.equal(chosen, torch.arange(len(values))) else values[chosen]
