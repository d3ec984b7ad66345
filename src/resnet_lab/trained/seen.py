"""How a net that does not say so sees images: what a user says of it, and what is usual for the rest.

Every assumption is reported in a line.
"""

import math
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from resnet_lab.data.folders.augment import MEAN, STD
from resnet_lab.data.preprocessing import Preprocessing, by_channel
from resnet_lab.errors import UserError, printable
from resnet_lab.files import read_text
from resnet_lab.reference import imagenet_classes
from resnet_lab.trained.network import Trained

IMAGENET_SIDE = 224  # pixels
EXAMPLE = "--mean 0.491,0.482,0.447 --std 0.247,0.243,0.262 of CIFAR-10's training images"
UNKNOWN = "does not record its preprocessing"


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
            raise UserError(f"--mean and --std go together, for example {EXAMPLE}")
        if resize is not None and size is None:
            raise UserError(f"--resize {resize}: --size says what is cut out of it")
        if size is not None and not 1 <= size <= (size if resize is None else resize):
            raise UserError(f"--size {size}: at least 1 pixel, and no more than --resize")
        numbers = (_numbers("--mean", mean), _numbers("--std", std))
        if numbers[1] is not None and 0 in numbers[1]:
            raise UserError(f"--std {std}: a channel that never changes cannot be divided by 0")
        return cls(*numbers, size, resize, None if classes is None else _class_names(classes))

    def __bool__(self) -> bool:
        return self != Given()


def with_given(net: Trained, given: Given) -> tuple[Preprocessing, str | None]:
    """Return how a net sees images, and the line that tells what was assumed of it; None where nothing was.

    Raises UserError where it can be neither known nor assumed, or what was given does not fit the net.
    """
    if net.seen is not None:
        return net.seen, None
    if net.run is not None:
        raise UserError(f"{net.path} does not record its preprocessing: finish the run first")
    channels, side = net.model.in_channels or 3, size_of(net, given)
    assumed = []
    if given.mean is None and side < IMAGENET_SIDE:
        raise UserError(f"{net.name} {UNKNOWN}: --mean and --std are needed, for example {EXAMPLE}")
    if given.mean is None:
        assumed.append("ImageNet's mean and std")
    mean, std = by_channel(given.mean or MEAN), by_channel(given.std or STD)
    view = Preprocessing(channels, (side, side), resize_of(net, given), mean, std, names(net, given))
    if given.size is None:
        assumed.append(words(view))
    if not view.class_names and net.outputs == len(imagenet_classes()):
        view = replace(view, class_names=tuple(row["name"] for row in imagenet_classes()))
        assumed.append("ImageNet's classes in their order")
    check_channels(net, view)
    return view, f"{net.name} {UNKNOWN}: assumed {', '.join(assumed)}" if assumed else None


def known(net: Trained, given: Given) -> Preprocessing:
    """Return how a net sees images, after telling on stderr what was assumed of it and where its weights are from.

    Raises UserError as `with_given` does, and for what was given of a net that knows it.
    """
    refuse_unread(given, [net])
    seen, assumed = with_given(net, given)
    for said in (net.note, assumed):
        if said:
            print(f"resnet-lab: {printable(said)}", file=sys.stderr)
    return seen


def size_of(net: Trained, given: Given) -> int:
    """Return the side in pixels of what the net sees: as given, or as nets with such a stem are made for.

    Raises UserError for a net that is none of ours where no size is given.
    """
    if given.size is not None:
        return given.size
    if net.model.usual_side is None:
        raise UserError(f"{net.name} {UNKNOWN}: --size is needed, with --mean and --std")
    return net.model.usual_side


def resize_of(net: Trained, given: Given) -> int | None:
    """Return the shorter side before the centre crop, ImageNet's proportion unless given; None for small images."""
    if given.resize is not None:
        return given.resize
    large = (net.model.usual_side or 0) >= IMAGENET_SIDE
    return round(size_of(net, given) * 256 / 224) if large else None


def names(net: Trained, given: Given) -> tuple[str, ...]:
    """Return the given names of the classes. Raises UserError where they are more or fewer than the net's outputs."""
    if given.classes is not None and len(given.classes) != net.outputs:
        raise UserError(f"--classes names {len(given.classes)} classes, and {net.name} has {net.outputs}")
    return given.classes or ()


def check_channels(net: Trained, view: Preprocessing) -> None:
    for option, numbers in (("--mean", view.mean), ("--std", view.std)):
        if len(numbers) not in (1, view.channels):
            raise UserError(
                f"{option} has {len(numbers)} numbers, and {net.name} expects {view.channels} channels"
            )


def words(view: Preprocessing) -> str:
    """Return what part of an image is seen."""
    size = f"{view.size[0]}x{view.size[1]}"
    if view.resize is None:
        return f"the middle of an image at {size}"
    return f"the middle {size} of an image with the shorter side at {view.resize}"


def refuse_unread(given: Given, nets: Sequence[Trained]) -> None:
    """Raise UserError where something was said of nets that all know it themselves."""
    if given and all(net.seen is not None or net.run is not None for net in nets):
        raise UserError(
            f"{nets[0].name} records its preprocessing: --mean, --std, --size, --resize and --classes are for nets"
            " that do not say it"
        )


def _numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        numbers = tuple(map(float, text.split(",")))
    except ValueError:
        numbers = ()
    if len(numbers) not in (1, 3) or not all(math.isfinite(number) for number in numbers):
        raise UserError(f"{option} {text}: a number for each channel is needed, for example 0.49,0.48,0.45")
    if not all(0 <= number <= 1 for number in numbers):
        raise UserError(f"{option} {text}: of pixels from 0 to 1; divide what is meant for 0 to 255 by 255")
    return numbers


def _class_names(path: Path) -> tuple[str, ...]:
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
