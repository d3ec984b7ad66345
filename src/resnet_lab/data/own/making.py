"""Making what a target names, and the chance that its code meets."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any

import numpy as np
import torch

from resnet_lab.data.spec import OwnConfig
from resnet_lab.errors import UserError
from resnet_lab.targets import called, locate, made, takes

TARGET = "data._target_"


def make(config: OwnConfig, batch_size: int) -> Any:
    """What the target gives, of the arguments that the configuration has; `batch_size` where it takes one.

    What it draws belongs to the data, not to the run. Raises UserError where it cannot be made.
    """
    if not config._target_:
        raise UserError(f"{TARGET} is needed: the dotted path of what makes the images, as my_data.make")
    target = locate(config._target_, TARGET)
    given = made(config.args, "data.args")
    if config.root is not None:
        given["root"] = config.root
    if "batch_size" in takes(target):
        given.setdefault("batch_size", batch_size)
    with drawn("data"):
        return called(f"{TARGET}={config._target_}", target, **given)


def draw(purpose: str) -> None:
    """Sets the global generators of Python, NumPy and torch, the CPU's, to a function of the purpose alone."""
    number = int.from_bytes(blake2b(purpose.encode(), digest_size=8).digest(), "big")
    random.seed(number)
    np.random.seed(number % 2**32)  # noqa: NPY002 (the generator that data sets draw from)
    torch.default_generator.manual_seed(number)


@contextmanager
def drawn(purpose: str | None = None) -> Iterator[None]:
    """The same for a while: afterwards the generators are as they were, whatever was drawn from them."""
    legacy = np.random.get_state()  # noqa: NPY002
    before, default = random.getstate(), torch.default_generator.get_state()
    try:
        if purpose is not None:
            draw(purpose)
        yield
    finally:
        random.setstate(before)
        np.random.set_state(legacy)  # noqa: NPY002
        torch.default_generator.set_state(default)
