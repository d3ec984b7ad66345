"""TrivialAugmentWide (arXiv 2103.10158): one operation at one strength, both drawn evenly, for each image.

torchvision's transform draws from torch's global generator, which threads share; here a sample brings its own.
"""

from collections.abc import Callable
from math import atan, degrees
from random import Random

from torch import Tensor
from torchvision.transforms.v2 import functional as F

BINS = 31  # strengths that are drawn from

Operation = Callable[[Tensor, float], Tensor]  # a uint8 image (3, H, W) and the strength


def _affine(
    image: Tensor, shift: tuple[int, int] = (0, 0), shear: tuple[float, float] = (0.0, 0.0)
) -> Tensor:
    # Shearing keeps the corner in place, shifting has no centre: torchvision's AutoAugment family.
    centre = [0.0, 0.0] if any(shear) else None
    return F.affine(image, angle=0.0, translate=list(shift), scale=1.0, shear=list(shear), center=centre)


# name: the strength at the last bin, whether its sign is drawn too, what it does
SIGNED: dict[str, tuple[float, Operation]] = {
    "shear_x": (0.99, lambda image, by: _affine(image, shear=(degrees(atan(by)), 0.0))),
    "shear_y": (0.99, lambda image, by: _affine(image, shear=(0.0, degrees(atan(by))))),
    "translate_x": (32.0, lambda image, by: _affine(image, shift=(int(by), 0))),
    "translate_y": (32.0, lambda image, by: _affine(image, shift=(0, int(by)))),
    "rotate": (135.0, lambda image, by: F.rotate(image, by)),
    "brightness": (0.99, lambda image, by: F.adjust_brightness(image, 1.0 + by)),
    "colour": (0.99, lambda image, by: F.adjust_saturation(image, 1.0 + by)),
    "contrast": (0.99, lambda image, by: F.adjust_contrast(image, 1.0 + by)),
    "sharpness": (0.99, lambda image, by: F.adjust_sharpness(image, 1.0 + by)),
}
UNSIGNED: dict[str, Operation] = {  # strength from 0 to 1; some have none
    "identity": lambda image, _: image,
    "posterize": lambda image, by: F.posterize(image, bits=round(8 - 6 * by)),
    "solarize": lambda image, by: F.solarize(image, threshold=255 * (1.0 - by)),
    "autocontrast": lambda image, _: F.autocontrast(image),
    "equalize": lambda image, _: F.equalize(image),
}
OPERATIONS = (*SIGNED, *UNSIGNED)


def apply(image: Tensor, operation: str, strength: float) -> Tensor:
    """One operation on a uint8 image (3, H, W); `strength` from 0 to 1, from -1 where it is signed."""
    if operation in SIGNED:
        last, function = SIGNED[operation]
        return function(image, last * strength)
    return UNSIGNED[operation](image, strength)


def trivial_augment(image: Tensor, random: Random) -> Tensor:
    """A uint8 image (3, H, W) after one random operation."""
    operation = random.choice(OPERATIONS)
    strength = random.randrange(BINS) / (BINS - 1)
    if operation in SIGNED and random.random() < 0.5:
        strength = -strength
    return apply(image, operation, strength)
