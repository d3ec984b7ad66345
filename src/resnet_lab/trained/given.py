"""What a user says of a net whose file does not: how it sees images, and what its outputs are called."""

import math
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from resnet_lab.errors import UserError
from resnet_lab.files import read_text


@dataclass(frozen=True)
class Given:
    """Each None where it was not said; numbers of each channel are of values from 0 to 1, sizes in pixels."""

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    size: int | None = None  # side of what the net sees
    resize: int | None = None  # the shorter side before that is cut out of the middle
    classes: tuple[str, ...] | None = None  # in the order of the outputs

    @classmethod
    def of(
        cls, mean: str | None, std: str | None, size: int | None, resize: int | None, classes: Path | None
    ) -> "Given":
        """From the command line's words. Raises UserError for numbers that cannot be, and unreadable classes."""
        if (mean is None) != (std is None):
            raise UserError("--mean and --std go together, as --mean 0.49,0.48,0.45 --std 0.25,0.24,0.26")
        if resize is not None and size is None:
            raise UserError(f"--resize {resize}: --size says what is cut out of it")
        if size is not None and not 1 <= size <= (size if resize is None else resize):
            raise UserError(f"--size {size}: at least 1 pixel, and no more than --resize")
        numbers = (_numbers("--mean", mean), _numbers("--std", std))
        if numbers[1] is not None and 0 in numbers[1]:
            raise UserError(f"--std {std}: a channel that never changes cannot be divided by 0")
        return cls(*numbers, size, resize, None if classes is None else _names(classes))

    def __bool__(self) -> bool:
        return self != Given()


def _numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        numbers = tuple(map(float, text.split(",")))
    except ValueError:
        numbers = ()
    if len(numbers) not in (1, 3) or not all(math.isfinite(number) for number in numbers):
        raise UserError(f"{option} {text}: a number for each channel is needed, as 0.49,0.48,0.45")
    if not all(0 <= number <= 1 for number in numbers):
        raise UserError(f"{option} {text}: of pixels from 0 to 1; divide what is meant for 0 to 255 by 255")
    return numbers


def _names(path: Path) -> tuple[str, ...]:
    """Return the lines of a file; of a folder, its class folders in sorted order, as torchvision numbers them.

    Raises UserError for what cannot be read, and for a name that stands there twice.
    """
    try:
        if path.is_dir():
            names = sorted(entry.name for entry in os.scandir(path) if entry.is_dir())
        else:
            names = read_text(path).splitlines()
    except OSError as error:
        raise UserError(f"cannot read --classes {path}: {error.strerror}") from None
    except ValueError:
        raise UserError(f"--classes {path}: names in UTF-8 are needed, one per line") from None
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise UserError(f"--classes {path} names {twice!r} twice: each output has a name of its own")
    return tuple(names)
