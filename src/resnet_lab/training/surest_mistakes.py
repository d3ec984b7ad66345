"""The surest mistakes of a net as one picture, and the images in it. Free of torch."""

import io
import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from resnet_lab.errors import printable
from resnet_lab.files import open_file, write_bytes
from resnet_lab.training.answers import Answer, Answers

PICTURE = "mistakes.png"
MOST, COLUMNS = 64, 8
LEAST = 112  # pixels: smaller images are enlarged to at least that, whole pixels at a time
GAP, LINES, TEXT = 8, 30, 11  # pixels: between images, below each for its caption, and of a letter
BROAD = 65_535  # pixels of a side: no picture of ours comes near it

Pixels = NDArray[np.uint8]  # (N, S, S, 3)


def leave(folder: Path, answers: Answers, images: Pixels) -> None:
    """The files of a test: what was answered, and the surest mistakes, of which these are the `images`."""
    answers.write(folder)
    write(folder, images, answers.mistakes()[: len(images)])


def write(folder: Path, images: Pixels, mistakes: Sequence[Answer]) -> Path | None:
    """mistakes.png: each image over its label, what the net took it for and how sure it was; None of no mistake."""
    path = folder / PICTURE
    if not len(images):
        path.unlink(missing_ok=True)
        return None
    side = images.shape[1]
    scale = -(-LEAST // side)
    wide = side * scale + GAP
    rows = -(-len(images) // COLUMNS)
    sheet = Image.new("RGB", (GAP + COLUMNS * wide, GAP + rows * (wide + LINES)), "white")
    pen, font = ImageDraw.Draw(sheet), _font()
    for index, (pixels, each) in enumerate(zip(images, mistakes, strict=True)):
        left, top = _corner(index, wide)
        sheet.paste(Image.fromarray(pixels.repeat(scale, 0).repeat(scale, 1)), (left, top))
        lines = (each.label, f"→ {each.prediction}, {100 * each.probability:.1f} %")
        for number, text in enumerate(lines):
            at = (left, top + side * scale + 1 + number * (LINES // 2 - 1))
            pen.text(at, _fitting(text, font, wide - GAP), "#b00020" if number else "black", font)
    info = PngInfo()
    for name, number in (("images", len(images)), ("side", side), ("scale", scale)):
        info.add_text(name, str(number))
    file = io.BytesIO()
    sheet.save(file, "PNG", pnginfo=info)
    write_bytes(path, file.getvalue())
    return path


def read(folder: Path) -> Pixels:
    """Return the images of mistakes.png, as they were given; none without such a file."""
    try:
        with os.fdopen(open_file(folder / PICTURE), "rb") as file, Image.open(file, formats=["PNG"]) as sheet:
            numbers = [int(sheet.info[name]) for name in ("images", "side", "scale")]
            if max(sheet.size) > BROAD or min(numbers) < 1:
                raise ValueError(f"{folder / PICTURE} is none of ours")
            pixels = np.asarray(sheet.convert("RGB"))
    except FileNotFoundError:
        return np.empty((0, 1, 1, 3), np.uint8)
    count, side, scale = numbers
    corners = [_corner(index, side * scale + GAP) for index in range(count)]
    reach = side * scale
    return np.stack([pixels[top : top + reach : scale, left : left + reach : scale] for left, top in corners])


def _corner(index: int, wide: int) -> tuple[int, int]:
    row, column = divmod(index, COLUMNS)
    return GAP + column * wide, GAP + row * (wide + LINES)


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Matplotlib's, which has most alphabets."""
    found = find_spec("matplotlib")
    assert found is not None
    assert found.origin is not None
    file = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
    try:
        return ImageFont.truetype(str(file), TEXT)
    except OSError:
        return ImageFont.load_default(TEXT)


def _fitting(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, wide: int) -> str:
    text = printable(text)
    while font.getlength(text) > wide:
        text = f"{text[:-2]}…"
    return text
