"""How a net that does not say so sees images: what was given, and what is usual for the rest, told in a line."""

from dataclasses import replace

from resnet_lab.data.folders.augment import MEAN, STD
from resnet_lab.data.preprocessing import Preprocessing, by_channel
from resnet_lab.errors import UserError
from resnet_lab.models.description import Net
from resnet_lab.models.names import usual_side
from resnet_lab.reference import imagenet_classes
from resnet_lab.trained.given import Given
from resnet_lab.trained.source import Trained

IMAGENET_SIDE = 224  # pixels


def with_given(net: Trained, given: Given) -> tuple[Preprocessing, str | None]:
    """How a net sees images, and the line that tells what was assumed of it; None where nothing was.

    Raises UserError where it can be neither known nor assumed, or what was given does not fit the net.
    """
    if net.seen is not None:
        return net.seen, None
    if net.run is not None:
        raise UserError(f"{net.path} does not say how it sees images: finish the run first")
    channels, side = net.model.in_channels or 3, size_of(net, given)
    assumed = []
    if given.mean is None and side < IMAGENET_SIDE:
        raise UserError(
            f"{net.name} does not say how it sees images: --mean and --std are needed, as --mean 0.491,0.482,0.447"
            " --std 0.247,0.243,0.262 of CIFAR-10's training images"
        )
    if given.mean is None:
        assumed.append("ImageNet's mean and std")
    view = Preprocessing(
        channels,
        (side, side),
        resize_of(net, given),
        by_channel(given.mean or MEAN),
        by_channel(given.std or STD),
        names(net, given),
    )
    if given.size is None:
        assumed.append(words(view))
    if not view.class_names and net.outputs == len(imagenet_classes()):
        view = replace(view, class_names=tuple(row["name"] for row in imagenet_classes()))
        assumed.append("ImageNet's classes in their order")
    check_channels(net, view)
    return (
        view,
        f"{net.name} does not say how it sees images: assumed {', '.join(assumed)}" if assumed else None,
    )


def size_of(net: Trained, given: Given) -> int:
    """Return the side in pixels of what the net sees: as given, or as nets with such a stem are made for.

    Raises UserError for a net that is none of ours where no size is given.
    """
    if given.size is not None:
        return given.size
    if not isinstance(net.model, Net):
        raise UserError(
            f"{net.name} does not say how it sees images: --size is needed, with --mean and --std"
        )
    return usual_side(net.model)


def resize_of(net: Trained, given: Given) -> int | None:
    """The shorter side before the centre crop, ImageNet's proportion unless given; None for small images."""
    if given.resize is not None:
        return given.resize
    large = isinstance(net.model, Net) and usual_side(net.model) >= IMAGENET_SIDE
    return round(size_of(net, given) * 256 / 224) if large else None


def names(net: Trained, given: Given) -> tuple[str, ...]:
    """The given names of the classes. Raises UserError where they are more or fewer than the net's outputs."""
    if given.classes is not None and len(given.classes) != net.outputs:
        raise UserError(f"--classes names {len(given.classes)} classes, and {net.name} has {net.outputs}")
    return given.classes or ()


def check_channels(net: Trained, view: Preprocessing) -> None:
    for option, numbers in (("--mean", view.mean), ("--std", view.std)):
        if len(numbers) not in (1, view.channels):
            raise UserError(
                f"{option} has {len(numbers)} numbers, and {net.name} sees {view.channels} channels"
            )


def words(view: Preprocessing) -> str:
    """What part of an image is seen."""
    height, width = view.size
    return (
        f"the middle of an image at {height}x{width}"
        if view.resize is None
        else f"the middle {height}x{width} of an image with the shorter side at {view.resize}"
    )


def refuse_unread(given: Given, nets: list[Trained]) -> None:
    """Raises UserError where something was said of nets that all know it themselves."""
    if given and all(net.seen is not None or net.run is not None for net in nets):
        raise UserError(
            f"{nets[0].name} knows how it sees images: --mean, --std, --size, --resize and --classes are for nets"
            " that do not say it"
        )
