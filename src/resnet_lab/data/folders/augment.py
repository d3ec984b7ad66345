"""Augment one image. Every random choice comes from the image's own generator.

Sources: random resized crop, Inception (arXiv 1409.4842, section 6); scale jitter, he2015 section 3.4; colour
noise along the principal components, AlexNet (Krizhevsky et al. 2012, section 4.1); random erasing, arXiv 1708.04896;
TrivialAugmentWide, arXiv 2103.10158: torchvision's draws from torch's global generator, which threads share.
"""

import math
from collections.abc import Callable
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from resnet_lab.data.decode import Box, Picture, Pixels, crop_resized
from resnet_lab.data.spec import ImageFolderConfig

MEAN = (0.485, 0.456, 0.406)  # of ImageNet's training images scaled to [0, 1], RGB
STD = (0.229, 0.224, 0.225)
GREY = np.array([round(255 * mean) for mean in MEAN], np.uint8)  # what normalisation takes to zero
# Principal components of ImageNet's RGB values in [0, 1]: standard deviations, and directions as columns.
PCA_STD = (0.2175, 0.0188, 0.0045)
PCA_DIRECTIONS = np.array(
    [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]
)


def inception_box(random: Random, height: int, width: int) -> Box:
    """Draw a box of 8 to 100 % of the area and a ratio of sides from 3/4 to 4/3, as torchvision does."""
    for _ in range(10):
        area = height * width * random.uniform(0.08, 1.0)
        ratio = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        across, down = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < across <= width and 0 < down <= height:
            return Box(random.randint(0, height - down), random.randint(0, width - across), down, across)
    # Too long an image for the ratios: its middle, cut to the nearest ratio.
    down, across = min(height, round(width * 4 / 3)), min(width, round(height * 4 / 3))
    return Box((height - down) // 2, (width - across) // 2, down, across)


def scale_jitter_box(random: Random, height: int, width: int, config: ImageFolderConfig) -> Box:
    """Resize the shorter side to a random length, then crop at random, as He et al. (2015) do.

    Cropping first and resizing the crop alone is the same image but for the rounding of its edges, and cheaper.
    """
    shorter = min(height, width)
    side = min(round(config.crop * shorter / random.randint(config.scale_min, config.scale_max)), shorter)
    side = max(side, 1)
    return Box(random.randint(0, height - side), random.randint(0, width - side), side, side)


def colour_jitter(image: Tensor, random: Random, strength: float) -> Tensor:
    """Change brightness, contrast and saturation, each times 1 - strength to 1 + strength, in random order."""
    changes = [F.adjust_brightness, F.adjust_contrast, F.adjust_saturation]
    random.shuffle(changes)
    for change in changes:
        image = change(image, random.uniform(max(0.0, 1 - strength), 1 + strength))
    return image


def erase(pixels: Pixels, random: Random) -> None:
    """Grey out, in place, a box of 2 to 33 % of the area and a ratio of sides from 0.3 to 3.3."""
    height, width, _ = pixels.shape
    for _ in range(10):
        area = height * width * random.uniform(0.02, 0.33)
        ratio = math.exp(random.uniform(math.log(0.3), math.log(3.3)))
        down, across = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < down < height and 0 < across < width:
            top, left = random.randint(0, height - down), random.randint(0, width - across)
            pixels[top : top + down, left : left + across] = GREY
            return


class RandomView:
    """A random view of an image, and the colour noise that the device adds to it."""

    def __init__(self, config: ImageFolderConfig) -> None:
        self.config = config

    def __call__(self, picture: Picture, random: Random) -> tuple[Pixels, NDArray[np.float32]]:
        """Return pixels (crop, crop, 3), and what is to be added to each channel, in units of [0, 1]: (3,).

        The noise stays a number because on uint8 it would be rounded and clipped, which neither paper does.
        """
        config = self.config
        if config.augmentation == "inception":
            box = inception_box(random, picture.height, picture.width)
        else:
            box = scale_jitter_box(random, picture.height, picture.width, config)
        pixels = crop_resized(picture, box, config.crop)
        if config.flip and random.random() < 0.5:
            pixels = torch.from_numpy(pixels).flip(1).numpy()  # NumPy takes fifteen times as long
        if config.colour_jitter or config.trivial_augment:
            image = torch.from_numpy(pixels).permute(2, 0, 1)
            if config.colour_jitter:
                image = colour_jitter(image, random, config.colour_jitter)
            if config.trivial_augment:
                image = trivial_augment(image, random)
            pixels = image.permute(1, 2, 0).numpy()
        if config.random_erasing and random.random() < config.random_erasing:
            pixels = pixels.copy()
            erase(pixels, random)
        noise = PCA_DIRECTIONS @ [random.gauss(0.0, config.pca_noise * std) for std in PCA_STD]
        return pixels, noise.astype(np.float32)


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
    "shear_x": (0.99, lambda image, by: _affine(image, shear=(math.degrees(math.atan(by)), 0.0))),
    "shear_y": (0.99, lambda image, by: _affine(image, shear=(0.0, math.degrees(math.atan(by))))),
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
    """Apply one operation to a uint8 image (3, H, W); `strength` from 0 to 1, from -1 where it is signed."""
    if operation in SIGNED:
        last, function = SIGNED[operation]
        return function(image, last * strength)
    return UNSIGNED[operation](image, strength)


def trivial_augment(image: Tensor, random: Random) -> Tensor:
    """Apply TrivialAugmentWide to a uint8 image (3, H, W): one operation at one strength, both drawn evenly."""
    operation = random.choice(OPERATIONS)
    strength = random.randrange(BINS) / (BINS - 1)
    if operation in SIGNED and random.random() < 0.5:
        strength = -strength
    return apply(image, operation, strength)
