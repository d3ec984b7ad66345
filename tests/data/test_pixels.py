"""Every mode and depth that Pillow writes: the right pixel, as torchvision's ImageFolder has it, or one line."""

import struct
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from folders import picture
from resnet_lab.data.decode import BrokenImage, open_picture

FORMATS = ("PNG", "PPM", "TIFF", "WEBP", "BMP", "GIF", "JPEG", "TGA", "JPEG2000", "SGI", "PCX", "AVIF", "IM")
GREY = np.linspace(0, 65535, 32 * 48, dtype=np.int32).reshape(32, 48)
NOISE = picture(0, 32, 48)
IMAGES = {
    **{mode: NOISE.convert(mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV")},
    "PA": NOISE.convert("P").convert("PA"),
    "LAB": Image.merge("LAB", NOISE.split()),
    "I;16": Image.fromarray(GREY.astype("<u2")),
    "I;16B": Image.fromarray(GREY.astype(">u2")),
    "I": Image.fromarray(GREY),
    "F": Image.fromarray(GREY.astype(np.float32)),
}


def written() -> dict[str, bytes]:
    """FORMAT-MODE: the bytes of a file, for each pair that Pillow writes."""
    files = {}
    for kind in FORMATS:
        for mode, image in IMAGES.items():
            file = BytesIO()
            try:
                image.save(file, kind)
            except (OSError, ValueError, KeyError):
                continue
            files[f"{kind}-{mode}"] = file.getvalue()
    return files


FILES = written()


def test_the_table_has_every_mode_in_some_format() -> None:
    assert {name.partition("-")[2] for name in FILES} == set(IMAGES)
    assert len(FILES) > 70


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_pillow_writes_has_its_pixels_or_is_refused_in_one_line(name: str) -> None:
    image = Image.open(BytesIO(FILES[name]))
    if image.mode == "F" or (image.mode == "I" and image.format != "PPM"):
        with pytest.raises(BrokenImage, match="no agreed white") as caught:
            open_picture(FILES[name]).pixels()
        assert "\n" not in str(caught.value)
        return
    pixels = open_picture(FILES[name]).pixels()
    assert pixels.dtype == np.uint8
    if image.mode.startswith("I"):  # Pillow's own conversion to RGB would cut everything above 255
        values = (
            GREY if image.format != "JPEG2000" else np.asarray(image).astype(int)
        )  # its writer swaps bytes
        assert np.array_equal(pixels, np.dstack([np.round(values / 257)] * 3))
    else:
        expected = np.asarray(image.convert("RGB"), np.int16)
        assert np.abs(pixels - expected).max() <= (2 if image.format == "JPEG" else 0)


@pytest.mark.parametrize("maximum", [1, 5, 255, 256, 511, 1023, 4095, 65535])
@pytest.mark.parametrize("plain", [False, True], ids=["binary", "plain"])
def test_a_pgm_is_scaled_by_its_own_maximum(maximum: int, plain: bool) -> None:
    values = [0, maximum // 2, maximum]
    if plain:
        data = f"P2 3 1 {maximum}\n{' '.join(map(str, values))}\n".encode()
    else:
        width = 1 if maximum < 256 else 2
        data = b"P5 3 1 %d\n" % maximum + b"".join(value.to_bytes(width, "big") for value in values)
    pixels = open_picture(data).pixels()
    assert np.abs(pixels[0, :, 0] - np.array(values) * 255 / maximum).max() <= 1
    assert pixels[0, 2].tolist() == [255] * 3


def tiff(bits: int, photometric: int, sign: int, row: bytes) -> bytes:
    """A little-endian TIFF of two grey pixels."""
    tags = {
        256: 2,
        257: 1,
        258: bits,
        259: 1,
        262: photometric,
        273: 8,
        277: 1,
        278: 1,
        279: len(row),
        339: sign,
    }
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    row += b"\0" * (len(row) % 2)
    return (
        struct.pack("<2sHI", b"II", 42, 8 + len(row))
        + row
        + struct.pack("<H", len(tags))
        + entries
        + bytes(4)
    )


BLACK_IS_ZERO, WHITE_IS_ZERO, UNSIGNED, SIGNED, FLOAT = 1, 0, 1, 2, 3


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (tiff(16, BLACK_IS_ZERO, UNSIGNED, struct.pack("<2H", 0, 65535)), [0, 255]),
        (tiff(16, WHITE_IS_ZERO, UNSIGNED, struct.pack("<2H", 0, 60000)), [255, 22]),
        (tiff(16, BLACK_IS_ZERO, UNSIGNED, struct.pack("<2H", 0, 4095)), [0, 255]),
        (tiff(16, BLACK_IS_ZERO, UNSIGNED, struct.pack("<2H", 0, 4096)), [0, 16]),
        (tiff(12, BLACK_IS_ZERO, UNSIGNED, bytes([0x80, 0x0F, 0xFF])), [128, 255]),
        (tiff(8, WHITE_IS_ZERO, UNSIGNED, bytes([0, 200])), [255, 55]),
    ],
    ids=[
        "16 bits",
        "16 bits, white is zero",
        "12 bits in 16",
        "just above 12 bits",
        "12 bits",
        "8 bits, white is zero",
    ],
)
def test_a_grey_tiff_is_scaled_by_its_bits(data: bytes, expected: list[int]) -> None:
    assert open_picture(data).pixels()[0, :, 0].tolist() == expected


@pytest.mark.parametrize(
    "data",
    [
        tiff(16, BLACK_IS_ZERO, SIGNED, struct.pack("<2h", -5, 5)),
        tiff(32, BLACK_IS_ZERO, UNSIGNED, struct.pack("<2I", 0, 5)),
        tiff(32, BLACK_IS_ZERO, FLOAT, struct.pack("<2f", 0, 0.5)),
        tiff(10, BLACK_IS_ZERO, UNSIGNED, bytes(3)),
        b"P5 2 1 70000\n" + bytes(8),
        b"Pf 2 1 -1.0\n" + struct.pack("<2f", 0, 0.5),
    ],
    ids=["signed", "32 bits", "float", "10 bits", "a PGM of 17 bits", "PFM"],
)
def test_grey_without_an_agreed_white_is_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(BrokenImage, match=r".") as caught:
        open_picture(data).pixels()
    assert "\n" not in str(caught.value)


def colours(values: NDArray[np.uint16]) -> bytes:
    """A PPM of 16 bits a channel."""
    return b"P6 %d 1 65535\n" % len(values) + values.astype(">u2").tobytes()


def test_colours_of_sixteen_bits_are_scaled_too() -> None:
    values = np.array([[0, 32896, 65535], [65535, 257, 0]], np.uint16)
    assert open_picture(colours(values)).pixels()[0].tolist() == [[0, 128, 255], [255, 1, 0]]
