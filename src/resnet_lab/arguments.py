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
    from resnet_lab.models.names import NAMED

    return NAMED


def protocols() -> Iterable[str]:
    """Return the names of the ways to test a network."""
    from resnet_lab.training.protocols import PROTOCOLS

    return PROTOCOLS


CONFIG_DIR = option(
    "--config-dir",
    type=path,
    action="append",
    default=[],
    metavar="DIR",
    help="look for configurations there first, then in ./configs; can be repeated",
)
KEYS = option(
    "overrides",
    nargs="*",
    metavar="key=value",
    help="key=value or group=option; the groups and their options are listed below",
)
OVERRIDES = (CONFIG_DIR, KEYS)
MULTIRUN = option("-m", "--multirun", action="store_true", help="sweep over values given as key=a,b,c")
RUNS = option(
    "folder", type=path, metavar="FOLDER", help="a folder of runs, for example runs/quickstart, or one run"
)
SEVERAL = option(
    "folder", nargs="+", type=path, metavar="FOLDER", help="a folder of runs, for example runs/quickstart"
)
TRUST = option(
    "--trust",
    action="store_true",
    help="let a run folder or a file of weights name code from any installed package: it can then do what you can",
)
FOREIGN = "preprocessing of weights trained elsewhere"
GIVEN = (
    TRUST,
    option("--mean", metavar="R,G,B", group=FOREIGN, help="mean of each channel, for values from 0 to 1"),
    option("--std", metavar="R,G,B", group=FOREIGN, help="standard deviation of each channel"),
    option("--size", type=int, metavar="PIXELS", group=FOREIGN, help="side of the images that it sees"),
    option(
        "--resize",
        type=int,
        metavar="PIXELS",
        group=FOREIGN,
        help="shorter side before the images are cut out of the middle",
    ),
    option(
        "--classes",
        type=path,
        metavar="FILE",
        group=FOREIGN,
        help="class names in the order of the outputs: one per line, or a folder of class folders",
    ),
)
EVERYTHING = "everything"  # --cfg without a part
RUN = "a run folder, or a file that resnet-lab export wrote"
MODEL_KEYS = "model.key=value changes what --model's name stands for, for example model.zero_channels=split"


def model(**more: Any) -> Option:
    """Return the option that names a network."""
    return option(
        "--model",
        metavar="NAME",
        choices=networks,
        help="a network by its name: resnet-lab models lists them",
        **more,
    )
