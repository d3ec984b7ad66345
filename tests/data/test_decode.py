"""From the bytes of a file to RGB pixels, and the views that are taken of them."""

from io import BytesIO
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as F

from folders import config, picture
from resnet_lab.data.decode import Box, BrokenImage, Jpeg, Picture, crop_resized, open_picture
from resnet_lab.data.folders.augment import (
    GREY,
    OPERATIONS,
    SIGNED,
    RandomView,
    apply,
    erase,
    inception_box,
    scale_jitter_box,
)
from resnet_lab.data.preprocessing import CentreView


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


SIXTEEN_BITS = Image.fromarray((np.arange(48 * 64, dtype=np.uint16) * 21).reshape(48, 64))
FILES = {
    "JPEG": (encoded(picture(0), "JPEG", quality=95), Jpeg),
    "progressive JPEG": (encoded(picture(0), "JPEG", progressive=True), Jpeg),
    "grey JPEG": (encoded(picture(0, channels=1), "JPEG"), Jpeg),
    "CMYK JPEG": (encoded(picture(0).convert("CMYK"), "JPEG"), Picture),
    "PNG": (encoded(picture(0), "PNG"), Picture),
    "grey PNG": (encoded(picture(0, channels=1), "PNG"), Picture),
    "transparent PNG": (encoded(picture(0).convert("RGBA"), "PNG"), Picture),
    "palette PNG": (encoded(picture(0).quantize(64), "PNG"), Picture),
    "16-bit PNG": (encoded(SIXTEEN_BITS, "PNG"), Picture),
    "WebP": (encoded(picture(0), "WEBP"), Picture),
    "TIFF": (encoded(picture(0), "TIFF"), Picture),
    "BMP": (encoded(picture(0), "BMP"), Picture),
}


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file_becomes_rgb(name: str) -> None:
    data, kind = FILES[name]
    found = open_picture(data)
    assert type(found) is kind
    assert (found.height, found.width) == (48, 64)
    pixels = found.pixels()
    assert pixels.shape == (48, 64, 3)
    assert pixels.dtype == np.uint8
    if name != "16-bit PNG":
        expected = np.asarray(Image.open(BytesIO(data)).convert("RGB"), np.int16)
        assert np.abs(pixels - expected).max() <= 2


def test_sixteen_bits_keep_their_brightness() -> None:
    pixels = open_picture(FILES["16-bit PNG"][0]).pixels()
    assert np.array_equal(pixels[..., 0], np.round(np.asarray(SIXTEEN_BITS) / 257))


@pytest.mark.parametrize("cut", [0, 5, 400], ids=["nothing", "a few bytes", "a part"])
@pytest.mark.parametrize("name", ["JPEG", "CMYK JPEG", "PNG", "WebP"])
def test_a_part_of_a_file_is_broken(name: str, cut: int) -> None:
    with pytest.raises(BrokenImage, match=r"."):
        open_picture(FILES[name][0][:cut]).pixels()


@pytest.mark.parametrize("shape", [(300, 200), (200, 300), (36, 36), (30, 20)])
def test_the_test_view_is_torchvisions_resize_and_centre_crop(shape: tuple[int, int]) -> None:
    data = encoded(picture(1, *shape), "PNG")
    ours = CentreView(36, 32)(open_picture(data))
    image = torch.from_numpy(np.array(Image.open(BytesIO(data)))).permute(2, 0, 1)
    theirs = F.center_crop(F.resize(image, [36], antialias=True), [32, 32]).permute(1, 2, 0).numpy()
    assert ours.shape == (32, 32, 3)
    assert np.abs(ours.astype(int) - theirs).max() <= 1


def test_decoding_at_a_fraction_gives_the_same_crop_within_a_few_grey_levels() -> None:
    image = picture(2, 600, 800)
    jpeg, whole = open_picture(encoded(image, "JPEG", quality=95)), open_picture(encoded(image, "PNG"))
    box = Box(80, 160, 400, 480)
    difference = crop_resized(jpeg, box, 100).astype(int) - crop_resized(whole, box, 100)
    assert np.abs(difference).mean() < 2


def test_inceptions_boxes_have_8_to_100_per_cent_of_the_area() -> None:
    random = Random(0)
    boxes = [inception_box(random, 375, 500) for _ in range(2000)]
    assert all(box.top >= 0 and box.top + box.height <= 375 for box in boxes)
    assert all(box.left >= 0 and box.left + box.width <= 500 for box in boxes)
    shares = np.array([box.height * box.width / (375 * 500) for box in boxes])
    ratios = np.array([box.width / box.height for box in boxes])
    assert shares.min() > 0.075
    assert shares.min() < 0.1
    assert shares.max() > 0.95
    assert (ratios > 0.7).all()
    assert (ratios < 1.4).all()


def test_scale_jitter_resizes_the_shorter_side_to_the_papers_range() -> None:
    random, jitter = Random(0), config("", crop=224, resize=256, scale_min=256, scale_max=480)
    boxes = [scale_jitter_box(random, 375, 500, jitter) for _ in range(2000)]
    sides = np.array([224 * 375 / box.height for box in boxes])
    assert all(box.height == box.width for box in boxes)
    assert 254 < sides.min() < 258
    assert 474 < sides.max() < 482


def test_the_colour_noise_lies_along_alexnets_components() -> None:
    view, image = RandomView(config("", pca_noise=0.1)), open_picture(FILES["JPEG"][0])
    noise = np.array([view(image, Random(seed))[1] for seed in range(1000)])
    strengths = np.linalg.svd(noise, compute_uv=False) / 1000**0.5
    np.testing.assert_allclose(strengths, [0.02175, 0.00188, 0.00045], rtol=0.1)
    assert not RandomView(config(""))(image, Random(0))[1].any()


def test_random_erasing_greys_2_to_33_per_cent() -> None:
    shares = []
    for seed in range(300):
        pixels = np.zeros((64, 64, 3), np.uint8)
        erase(pixels, Random(seed))
        erased = (pixels == GREY).all(2)
        rows, columns = erased.any(1).sum(), erased.any(0).sum()
        assert erased.sum() == rows * columns, "one box"
        shares.append(erased.mean())
    assert min(shares) > 0.015
    assert max(shares) < 0.34


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_of_trivial_augment_keeps_the_shape_and_does_something(operation: str) -> None:
    image = torch.from_numpy(np.array(picture(3))).permute(2, 0, 1)
    changed = apply(image, operation, 1.0)
    assert changed.shape == image.shape
    assert changed.dtype == torch.uint8
    if operation not in ("identity", "autocontrast"):
        assert not torch.equal(changed, image)
    if operation in SIGNED:
        assert torch.equal(apply(image, operation, 0.0), image)
