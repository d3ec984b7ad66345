"""Arguments that several commands share. Free of torch."""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from resnet_lab.extras import Option, option
from resnet_lab.files import expanded


def path(text: str) -> Path:
    """Return a path as it was typed, with ~ as the user's home."""
    if not text:
        raise argparse.ArgumentTypeError("a path is needed, not an empty text")
    return expanded(text)


def networks() -> Iterable[str]:
    """Return the names of the networks."""
    from resnet_lab.models.named import NAMED

    return NAMED


def protocols() -> Iterable[str]:
    """Return the names of the ways to test a network."""
    from resnet_lab.training.protocols import PROTOCOLS

    return PROTOCOLS


CONFIG_DIR = option(
    "--config-dir DIR...",
    "look for configurations there first, then in ./configs; can be repeated",
    type=path,
)
KEYS = option(
    "overrides key=value*", "key=value or group=option; the groups and their options are listed below"
)
OVERRIDES = (CONFIG_DIR, KEYS)
MULTIRUN = option("-m --multirun", "sweep over values given as key=a,b,c")
RUNS = option("folder FOLDER", "a folder of runs, for example runs/quickstart, or one run", type=path)
SEVERAL = option("folder FOLDER+", "a folder of runs, for example runs/quickstart", type=path)
TRUST = option(
    "--trust",
    "let a run folder or a file of weights name code from any installed package: it can then do what you can",
)
FOREIGN = "preprocessing of weights trained elsewhere"
GIVEN = (
    TRUST,
    option("--mean R,G,B", "mean of each channel, for values from 0 to 1", group=FOREIGN),
    option("--std R,G,B", "standard deviation of each channel", group=FOREIGN),
    option("--size PIXELS", "side of the images that it sees", type=int, group=FOREIGN),
    option(
        "--resize PIXELS", "shorter side before the images are cut out of the middle", type=int, group=FOREIGN
    ),
    option(
        "--classes FILE",
        "class names in the order of the outputs: one per line, or a folder of class folders",
        type=path,
        group=FOREIGN,
    ),
)
EVERYTHING = "everything"  # --cfg without a part
RUN = "a run folder, or a file that resnet-lab export wrote"
MODEL_KEYS = "model.key=value changes what --model's name stands for, for example model.zero_channels=split"


def model(**more: Any) -> Option:
    """Return the option that names a network."""
    return option(
        "--model NAME", "a network by its name: resnet-lab models lists them", choices=networks, **more
    )
