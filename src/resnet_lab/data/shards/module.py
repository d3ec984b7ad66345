"""Prepared shards for a run: the batches of class folders, read from shards."""

from resnet_lab.data.folders.loader import ImageFiles
from resnet_lab.data.folders.module import ImageData
from resnet_lab.data.shards.choices import info, prepared
from resnet_lab.data.shards.files import ShardFiles
from resnet_lab.data.spec import ShardsConfig


def build(config: ShardsConfig, *, batch_size: int, drop_last: bool, seed: int) -> ImageData:
    """The data of a run. Raises UserError as `info` does; the images are looked for when it is set up."""

    def files() -> dict[str, ImageFiles]:
        there = prepared(config)
        return {name: ShardFiles(there, name) for name in there.splits}

    return ImageData(config, info(config), files, batch_size=batch_size, drop_last=drop_last, seed=seed)
