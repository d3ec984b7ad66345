"""Which choices prepared shards (data=imagenet_shards) allow. Free of torch."""

from collections.abc import Mapping

from resnet_lab.data.folders.choices import check, facts, root
from resnet_lab.data.shards.store import Prepared, open_prepared
from resnet_lab.data.spec import DataInfo, ShardsConfig

NAMES = ("imagenet_shards",)


def info(config: ShardsConfig) -> DataInfo:
    """The classes and the size of the images. Raises UserError for a choice or a place that will not do."""
    check(config, NAMES)
    return facts(config, prepared(config))


def counts(config: ShardsConfig) -> Mapping[str, int]:
    """Images of each part."""
    return prepared(config).counts


def prepared(config: ShardsConfig) -> Prepared:
    """The shards that the configuration names. Raises UserError where there are none."""
    return open_prepared(root(config), config.cache, config.cache_gb)
