"""The nets that have a name: what each is, has and costs, and where it comes from, as data. Free of torch.

`python tests/helpers/counts.py` counts them again; a test holds the file of counts to the built nets.
"""

import csv
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from functools import cache, partial
from pathlib import Path, PurePath
from typing import Any

from resnet_lab.errors import unknown
from resnet_lab.models.counts import Counts
from resnet_lab.models.description import ModelConfig

COUNTS = Path(__file__).with_name("counts.csv")


@dataclass(frozen=True)
class Named:
    """A description, where it comes from, and the side in pixels of the images it is made for."""

    config: ModelConfig
    source: str
    size: int


NAMED: dict[str, Named] = {}
PREACTIVATED = "full_preactivation"


def _add(name: str, source: str, **choices: Any) -> None:
    config = ModelConfig(**choices)
    NAMED[name] = Named(config, source, config.usual_side)


for depth in (20, 32, 44, 56, 110, 1202):
    _add(f"cifar_resnet{depth}", "he2015 Table 6", depth=depth)
for depth in (20, 32, 44, 56, 110):
    _add(f"cifar_plain{depth}", "he2015 Figure 6", depth=depth, shortcut="none")
for depth in (164, 1001):
    _add(f"cifar_resnet{depth}", "he2016 Table 3", depth=depth, block="bottleneck")
_add("cifar_preact_resnet110", "he2016 Table 2", depth=110, order=PREACTIVATED)
for depth in (164, 1001):
    _add(f"cifar_preact_resnet{depth}", "he2016 Table 3", depth=depth, block="bottleneck", order=PREACTIVATED)
_add("wrn28_10", "1605.07146 Table 5", family="wide", depth=28, width_factor=10.0, order=PREACTIVATED)

_imagenet = partial(_add, family="imagenet")
for depth in (18, 34):
    _imagenet(f"plain{depth}", "he2015 Table 2", depth=depth, shortcut="none")
for depth in (18, 34, 50, 101, 152):
    _imagenet(f"resnet{depth}", "he2015 Table 1, stride as torchvision", depth=depth)
    _imagenet(f"resnet{depth}_cifar_stem", "the seed article", depth=depth, stem="3x3", num_classes=10)
_imagenet("resnet200", "he2016 Table 5", depth=200, stride_on="1x1")
for depth in (101, 152, 200):
    _imagenet(f"preact_resnet{depth}", "he2016 Table 5", depth=depth, stride_on="1x1", order=PREACTIVATED)
_imagenet("resnext50_32x4d", "1611.05431 Table 1", depth=50, groups=32, width_factor=2.0)
_imagenet("resnext101_32x8d", "1611.05431, torchvision", depth=101, groups=32, width_factor=4.0)
_imagenet("resnext101_64x4d", "1611.05431 Table 4", depth=101, groups=64, width_factor=4.0)
_imagenet("wide_resnet50_2", "1605.07146 Table 8", depth=50, width_factor=2.0)
_imagenet("wide_resnet101_2", "1605.07146, torchvision", depth=101, width_factor=2.0)
_imagenet("se_resnet50", "1709.01507 Table 1", depth=50, block="se_bottleneck")
_imagenet("resnet50_d", "1812.01187 Table 5", depth=50, stem="deep", downsample="pool")


def list_models(pattern: str | None = None) -> list[str]:
    """Return the names there are: all, the one given, those that match * and ?, or those that contain the part."""
    if pattern is None:
        return list(NAMED)
    if pattern in NAMED:
        return [pattern]
    wild = pattern if set(pattern) & set("*?[") else f"*{pattern}*"
    return [name for name in NAMED if fnmatchcase(name, wild)]


def entry(name: str) -> Named:
    """Raise UserError for a name that is not there."""
    if name not in NAMED:
        raise unknown("model", name, NAMED)
    return NAMED[name]


def named(name: str, **choices: Any) -> ModelConfig:
    """Return a copy of the description with these choices; raises UserError for an unknown name or choice."""
    config = entry(name).config
    allowed = [field.name for field in fields(ModelConfig)]
    for choice in choices:
        if choice not in allowed:
            raise unknown("model choice", choice, allowed)
    texts = {key: str(value) for key, value in choices.items() if isinstance(value, PurePath)}
    return replace(config, **choices | texts)


@cache
def recorded() -> dict[str, Counts]:
    """Return the counts of each name in the file, at the size of the images that the net is made for."""
    with COUNTS.open(newline="") as rows:
        return {name: Counts(*map(int, numbers)) for name, *numbers in list(csv.reader(rows))[1:]}
