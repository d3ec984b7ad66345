"""How a net is tested, in words: which images, and which views of them, are averaged. Free of torch."""

from dataclasses import dataclass

from resnet_lab.errors import unknown

PROTOCOLS = ("single_view", "center_crop", "center_crop_320", "ten_crop", "multi_scale")
PAPER_CROP = 224  # pixels; the sizes of the papers' protocols belong to nets trained on this crop


@dataclass(frozen=True)
class ScaledImages:
    """What the data side delivers for one scale, in pixels."""

    resize: int | None = None  # the shorter side; None: the data set's own test view
    crop: int | None = None  # side of the centre square; None with a resize: the whole image


@dataclass(frozen=True)
class Protocol:
    """Softmax outputs are averaged over the views of each image, and over scales."""

    name: str
    scales: tuple[ScaledImages, ...]
    ten_crop: int | None = None  # side of the corners, the centre and their mirror images; None: one view


def protocol(name: str, crop: int = PAPER_CROP) -> Protocol:
    """Return a protocol for a net that was trained on squares of `crop` pixels; sizes keep the papers' proportion.

    single_view: the data set's own: the 32x32 image of CIFAR, the centre crop of ImageNet.
    center_crop: 224 from a shorter side of 256 (he2016 Table 5). center_crop_320: 320 from 320 (the same).
    ten_crop: 224 from the centre 256x256 (he2015 Tables 2 and 3; sizes from the authors' repository).
    multi_scale: fully convolutional on whole images of shorter sides 224 to 640 (he2015 Tables 4 and 5).
    The paper states no mirror images for the last, so none are taken.

    Raises UserError for an unknown name.
    """

    def size(pixels: int) -> int:
        return round(pixels * crop / PAPER_CROP)

    table = {
        "single_view": Protocol("single_view", (ScaledImages(),)),
        "center_crop": Protocol("center_crop", (ScaledImages(size(256), size(224)),)),
        "center_crop_320": Protocol("center_crop_320", (ScaledImages(size(320), size(320)),)),
        "ten_crop": Protocol("ten_crop", (ScaledImages(size(256), size(256)),), ten_crop=size(224)),
        "multi_scale": Protocol(
            "multi_scale", tuple(ScaledImages(size(side)) for side in (224, 256, 384, 480, 640))
        ),
    }
    if name not in table:
        raise unknown("protocol", name, table)
    return table[name]
