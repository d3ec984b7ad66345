"""How an image file becomes an input: written to JSON and read back, and done."""

import json
import os
from io import BytesIO
from pathlib import Path

import pytest
import torch
from PIL import Image

from folders import CLASSES, config, make, picture
from resnet_lab.data import build
from resnet_lab.data.preprocessing import Preprocessing, by_channel
from resnet_lab.data.spec import SmallImagesConfig

NOT_UTF8 = os.fsdecode(b"caf\xe9")


def seen(**choices: object) -> Preprocessing:
    mean = by_channel([0.5, 0.4, 0.3])
    given = {
        "channels": 3,
        "size": (32, 32),
        "resize": 36,
        "mean": mean,
        "std": mean / 2,
        "class_names": ("a",),
    }
    return Preprocessing(**{**given, **choices})  # type: ignore[arg-type]


def same(one: Preprocessing, other: Preprocessing) -> bool:
    numbers = torch.equal(one.mean, other.mean) and torch.equal(one.std, other.std)
    return numbers and all(
        getattr(one, name) == getattr(other, name) for name in ("channels", "size", "resize", "class_names")
    )


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"resize": None, "size": (28, 14)},
        {"mean": torch.rand(3, 32, 32), "resize": None},
        {"channels": 1, "mean": by_channel([0.1]), "std": by_channel([0.3])},
        {"class_names": (NOT_UTF8, "naïve", "a\nb")},
    ],
    ids=["crop", "square", "per pixel", "grey", "names"],
)
def test_what_is_written_is_read_back(choices: dict[str, object]) -> None:
    text = seen(**choices).to_json()
    assert text.isascii()
    assert "\n" not in text
    assert same(Preprocessing.from_json(text), seen(**choices))


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"channels": 3}', "null"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a preprocessing"):
        Preprocessing.from_json(text)


@pytest.mark.parametrize(
    "wrong",
    [
        {"std": [0.2, 0, 0.2]},
        {"mean": [0, 99, 0]},
        {"mean": [0.5, 0.5]},
        {"mean": [float("nan"), 0, 0]},
        {"crop": 0},
    ],
)
def test_numbers_that_no_network_was_trained_with_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not a preprocessing"):
        Preprocessing.from_json(json.dumps(json.loads(seen().to_json()) | wrong))


def test_images_of_ones_own_may_have_a_mean_beyond_one() -> None:
    choices: dict[str, object] = {"mean": by_channel([-300.0] * 3)}
    assert same(Preprocessing.from_json(seen(**choices).to_json()), seen(**choices))


def test_a_grey_net_sees_a_colour_file_in_grey() -> None:
    file = BytesIO()
    picture(3, height=64, width=48).save(file, "PNG")
    grey = seen(channels=1, size=(8, 8), resize=None, mean=by_channel([0.0]), std=by_channel([1.0]))
    assert grey(file.getvalue()).shape == (1, 8, 8)


def test_the_test_images_of_a_folder_are_seen_as_files(tmp_path: Path) -> None:
    root = make(tmp_path)
    data = build(config(root), batch_size=4, drop_last=False, seed=0)
    data.setup()
    told = data.preprocessing()
    assert (told.resize, told.size, told.class_names) == (36, (32, 32), CLASSES)
    images, _ = next(iter(data.test_dataloader()))
    ours = told((root / "val" / "cat" / "00.jpg").read_bytes())
    torch.testing.assert_close(ours, images[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("mean", ["pixel", "channel"])
def test_the_test_images_of_a_small_set_are_seen_as_files(mean: str) -> None:
    digits = SmallImagesConfig(name="digits", mean=mean, divide_by_std=True, pad=1)
    data = build(digits, batch_size=4, drop_last=False, seed=0)
    data.setup()
    told = Preprocessing.from_json(data.preprocessing().to_json())
    assert told.per_pixel == (mean == "pixel")
    images, _ = next(iter(data.test_dataloader()))
    pixels = ((images[0] * told.std + told.mean) * 255).round().to(torch.uint8)
    file = BytesIO()
    Image.fromarray(pixels[0].numpy()).save(file, "PNG")
    torch.testing.assert_close(told(file.getvalue()), images[0], atol=1e-5, rtol=1e-5)
