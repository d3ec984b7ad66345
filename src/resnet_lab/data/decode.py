"""Decode the bytes of an image file to RGB pixels: with simplejpeg where it can, with Pillow otherwise.

Both release the interpreter's lock. The stored pixels are decoded: an orientation tag is not applied and transparency
is dropped, as torchvision's ImageFolder does and as the published ImageNet errors were measured. Of several frames the
first is used.
"""

from dataclasses import dataclass
from io import BytesIO
from typing import NamedTuple

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile
from torch.nn.functional import interpolate

BITS_PER_SAMPLE, PHOTOMETRIC, MAX_SAMPLE_VALUE = 258, 262, 281  # tags of a TIFF
TWELVE_BITS = 2**12 - 1
WHITE_IS_ZERO = 0

Pixels = NDArray[np.uint8]  # (height, width, 3), RGB


class BrokenImage(Exception):
    """The bytes are not a complete image; the message gives the decoder's reason."""


class Box(NamedTuple):
    """A rectangle of an image, in pixels of the original."""

    top: int
    left: int
    height: int
    width: int


class Picture:
    """An image that Pillow reads; its size is known, and its pixels are decoded on demand."""

    def __init__(self, image: Image.Image) -> None:
        self.image = image
        self.width, self.height = image.size

    def pixels(self, shrink: int = 1) -> Pixels:  # noqa: ARG002 (Pillow decodes all of it)
        """Decode every pixel, or a picture up to `shrink` (1, 2, 4, 8) times smaller where that is cheaper.

        Its sides are the original's, divided by the factor that was used and rounded up.
        """
        try:
            return np.array(_rgb(self.image))
        except Exception as error:  # OSError, SyntaxError, ValueError, struct.error …
            raise BrokenImage(str(error)) from error


@dataclass
class Jpeg(Picture):
    """A grey or three-channel JPEG, which libjpeg-turbo can decode at 1/2, 1/4 and 1/8 straight from the DCT."""

    data: bytes
    height: int
    width: int

    def pixels(self, shrink: int = 1) -> Pixels:
        least = {"min_height": -(-self.height // shrink), "min_width": -(-self.width // shrink)}
        try:
            return simplejpeg.decode_jpeg(self.data, fastdct=shrink > 1, min_factor=shrink, **least)
        except ValueError:  # Pillow forgives more, such as bytes between markers; both refuse a cut file
            return _open_with_pillow(self.data).pixels()


def open_picture(data: bytes) -> Picture:
    """Open the image in the bytes of a file. Raises BrokenImage."""
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return _open_with_pillow(data)
    return _open_with_pillow(data) if colours in ("CMYK", "YCCK") else Jpeg(data, height, width)


def _open_with_pillow(data: bytes) -> Picture:
    try:
        return Picture(Image.open(BytesIO(data)))
    except Image.UnidentifiedImageError:
        raise BrokenImage("not an image" if data else "an empty file") from None
    except Exception as error:
        raise BrokenImage(str(error)) from error


def _rgb(image: Image.Image) -> Image.Image:
    """Return 8 bits per channel as Pillow converts them; grey of more bits is scaled by its white, not cut off."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PPM", "PNG")):
        values, white = np.asarray(image).astype(np.int64), 65535  # of PNG, and to which Pillow brings a PGM
        if isinstance(image, TiffImageFile):
            white = _white(image, int(values.max()))
            if image.tag_v2[PHOTOMETRIC] == WHITE_IS_ZERO:
                values = white - values
        return Image.fromarray(((values * 255 + white // 2) // white).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError("signed and 32-bit grey values have no agreed white: write them as 8 or 16 bits")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")


def _white(image: TiffImageFile, largest: int) -> int:
    """Return the white of a grey TIFF: stated, or that of its bits; cameras of 12 bits write files of 16."""
    white = 2 ** int(np.max(image.tag_v2[BITS_PER_SAMPLE])) - 1
    said = int(np.max(image.tag_v2.get(MAX_SAMPLE_VALUE, white)))
    if largest <= said < white:
        return said
    return min(white, TWELVE_BITS) if largest <= TWELVE_BITS else white


def crop_resized(picture: Picture, box: Box, size: int) -> Pixels:
    """Return `box` of the picture at (size, size, 3): bilinear with antialiasing, as torchvision's resize.

    A box at least twice as large as `size` is decoded at 1/2, 1/4 or 1/8: the same crop, its edges rounded to
    the decoded pixels, its content within a grey level or two of the full decoding.
    """
    spare = min(box.height, box.width) // size
    shrink = max(factor for factor in (1, 2, 4, 8) if factor <= max(spare, 1))
    pixels = picture.pixels(shrink)
    down, across = pixels.shape[0] / picture.height, pixels.shape[1] / picture.width
    top, left = int(box.top * down), int(box.left * across)
    bottom = min(round((box.top + box.height) * down), pixels.shape[0])
    right = min(round((box.left + box.width) * across), pixels.shape[1])
    return resized(pixels[top:bottom, left:right], size, size)


def averaged(pixels: Pixels, side: int) -> Pixels:
    """Return the middle square at (side, side, 3), each pixel the mean of its area; enlarged as `resized`."""
    shorter = min(pixels.shape[:2])
    top, left = (pixels.shape[0] - shorter) // 2, (pixels.shape[1] - shorter) // 2
    square = pixels[top : top + shorter, left : left + shorter]
    if shorter <= side:
        return resized(square, side, side)
    images = torch.from_numpy(np.ascontiguousarray(square))[None].permute(0, 3, 1, 2).float()
    small = interpolate(images, (side, side), mode="area").round_().to(torch.uint8)
    return small[0].permute(1, 2, 0).numpy()


def resized(pixels: Pixels, height: int, width: int) -> Pixels:
    """Resize to (height, width, 3): bilinear with antialiasing."""
    if pixels.shape[:2] == (height, width):
        return pixels
    # Channels-last with nothing between the rows, which torch resizes in place and gives back as channels-last.
    images = torch.from_numpy(np.ascontiguousarray(pixels))[None].permute(0, 3, 1, 2)
    small = interpolate(images, size=(height, width), mode="bilinear", antialias=True)
    return small[0].permute(1, 2, 0).numpy()
