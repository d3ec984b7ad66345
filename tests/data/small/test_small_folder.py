"""Class folders of small images: held in memory, decoded once, refused where they do not fit together."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import SafetensorError

from folders import CLASSES, make, picture
from resnet_lab.config.request import compose
from resnet_lab.config.schema import TrainConfig
from resnet_lab.data import build, info
from resnet_lab.data.datamodule import DataModule
from resnet_lab.data.preprocessing import Preprocessing
from resnet_lab.data.small import decoding
from resnet_lab.data.small.memory import averaged_down
from resnet_lab.data.spec import KINDS, ImageFolderConfig, SmallFolderConfig, SmallImagesConfig, data_kind
from resnet_lab.errors import UserError
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.record import DataFacts

MakeConfig = Callable[..., TrainConfig]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "resnet-lab" / "small_folder"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make(tmp_path / "images", images=4)


def config(root: Path, /, **choices: Any) -> SmallFolderConfig:
    return SmallFolderConfig(**{"name": "small_folder", "root": str(root), **choices})


def data_of(config: SmallFolderConfig) -> DataModule:
    data = build(config, batch_size=4, drop_last=False, seed=0)
    assert isinstance(data, DataModule)
    data.setup()
    return data


def pixels(config: SmallFolderConfig) -> list[torch.Tensor]:
    """The test images as a net sees them, without mean: (N, C, H, W) of 0 to 255."""
    data = data_of(replace(config, mean="channel"))
    seen = data.preprocessing()
    return [image for images, _ in data.test_dataloader() for image in (images * seen.std + seen.mean) * 255]


def files(cache: Path) -> list[Path]:
    return sorted(cache.glob("*.safetensors"))


def test_images_are_those_of_the_files_in_their_order(root: Path) -> None:
    data = data_of(config(root))
    assert (data.info.channels, data.info.height, data.info.width) == (3, 48, 64)
    assert data.info.class_names == CLASSES
    assert data.sizes == {"train": 12, "test": 12}
    paths = [root / "val" / name / f"{place:02d}.jpg" for name in CLASSES for place in range(4)]
    for found, path in zip(pixels(config(root)), paths, strict=True):
        assert np.abs(found.permute(1, 2, 0).numpy() - np.asarray(Image.open(path))).max() < 2
    assert torch.cat([labels for _, labels in data.test_dataloader()]).tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_a_predicted_file_is_seen_as_the_test_saw_it(root: Path) -> None:
    data = data_of(config(root))
    again = Preprocessing.from_json(data.preprocessing().to_json())
    images, _ = next(iter(data.test_dataloader()))
    torch.testing.assert_close(again((root / "val/cat/00.jpg").read_bytes()), images[0])


def test_size_averages_as_the_published_sets_do(root: Path) -> None:
    (square,) = (info(config(root, size=16)),)
    assert (square.height, square.width) == (16, 16)
    whole = torch.stack(pixels(config(root))).permute(0, 2, 3, 1)[:, :, 8:56].round().byte()
    expected = averaged_down(whole.numpy(), 16).permute(0, 3, 1, 2)
    torch.testing.assert_close(torch.stack(pixels(config(root, size=16))), expected.float(), atol=1.0, rtol=0)
    assert torch.stack(pixels(config(root, size=80))).shape == (12, 3, 80, 80)


def test_images_are_grey_where_all_are(tmp_path: Path) -> None:
    root = make(tmp_path / "images", images=2)
    for number, path in enumerate(sorted(root.rglob("*.jpg"))):
        path.unlink()
        picture(number, channels=1).convert("RGB").save(path.with_suffix(".png"))
    assert info(config(root)).channels == 1
    assert info(config(root, channels=3)).channels == 3
    picture(0).save(root / "train/cat/00.png")
    assert info(config(root)).channels == 3
    assert info(config(root, channels=1)).channels == 1


def test_images_are_decoded_once(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = pixels(config(root))
    monkeypatch.setattr(decoding, "decoded", None)
    assert all(torch.equal(*pair) for pair in zip(pixels(config(root)), before, strict=True))
    assert len(files(cache)) == 1


def test_runs_that_start_together_decode_once(
    root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, decode = [], decoding.decoded
    monkeypatch.setattr(decoding, "decoded", lambda *given: (calls.append(1), decode(*given))[1])
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(info, [config(root)] * 4))) == 1
    assert len(calls) == 1


def halved(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flipped(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-100] ^= 255
    file.write_bytes(content)


@pytest.mark.parametrize(
    "spoil",
    [halved, flipped, lambda file: file.write_bytes(b"another's"), lambda file: file.write_bytes(b"")],
)
def test_a_damaged_cache_is_made_again(root: Path, cache: Path, spoil: Callable[[Path], None]) -> None:
    before = pixels(config(root))
    (file,) = files(cache)
    whole = file.stat().st_size
    spoil(file)
    assert all(torch.equal(*pair) for pair in zip(pixels(config(root)), before, strict=True))
    assert file.stat().st_size == whole


def test_a_file_that_was_written_anew_is_decoded_anew(tmp_path: Path) -> None:
    """Of the same size in bytes: the fingerprint is the same, the pixels are not."""
    root = make(tmp_path / "images", images=2)
    for place, path in enumerate(sorted(root.rglob("*.jpg"))):
        path.unlink()
        picture(place).save(path.with_suffix(".bmp"))
    before, mark = pixels(config(root))[0], info(config(root)).fingerprint
    picture(99).save(root / "val/cat/00.bmp")
    assert info(config(root)).fingerprint == mark
    assert not torch.equal(pixels(config(root))[0], before)


def test_a_broken_image_stops_or_is_left_out(root: Path) -> None:
    (root / "train/dog/01.jpg").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"broken image .*train/dog/01\.jpg: .*data\.on_error=skip"):
        info(config(root))
    assert data_of(config(root, on_error="skip")).sizes == {"train": 11, "test": 12}
    with pytest.raises(UserError, match=r"broken image .*dog/01"):
        info(config(root))


def test_an_image_of_another_size_is_named(root: Path) -> None:
    picture(7, 30, 20).save(root / "train/eel/02.jpg")
    with pytest.raises(
        UserError, match=r"eel/02\.jpg has 20x30 pixels, and 00\.jpg has 64x48: data\.size=48"
    ):
        info(config(root))
    assert info(config(root, size=32)).height == 32


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"size": 0}, "data.size=0"),
        ({"pad": 48}, "data.pad=48: 0 to 47 pixels"),
        ({"cutout": -1}, "data.cutout=-1"),
        ({"mean": "pixels"}, "data.mean"),
        ({"channels": 2}, "1 .grey., 3 .RGB. and null"),
        ({"on_error": "go"}, "data.on_error"),
        ({"root": None}, "data.root="),
        ({"fingerprint": "1-0"}, "other images than data.fingerprint=1-0"),
        ({"size": 100_000}, "GB of memory"),
    ],
)
def test_a_choice_that_makes_no_sense_is_told(root: Path, choices: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        info(config(root, **choices))


def test_a_run_trains_on_them_and_knows_its_data_again(root: Path, make_config: MakeConfig) -> None:
    given = [f"data.root={root}", "data.size=8", "recipe=digits", "recipe.batch_size=4"]
    composed = compose(["data=small_folder", *given, "recipe.epochs=1", "model.depth=8", "data.pad=1"])
    assert composed.data.fingerprint is not None  # type: ignore[attr-defined]
    trained = replace(make_config(), data=composed.data, model=composed.model, recipe=composed.recipe)
    folder = RunFolder.create(trained)
    assert folder.config().data == composed.data
    record = execute(folder.path)
    assert record.state == "finished"
    assert record.data == DataFacts("small_folder", train=12, test=12, classes=3)


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_of_a_written_configuration_is_found(kind: type, make_config: MakeConfig) -> None:
    from dataclasses import fields

    assert data_kind([each.name for each in fields(kind)]) is kind


def test_the_kind_of_an_older_or_a_misspelt_configuration_is_found() -> None:
    assert data_kind(["name", "root", "validation", "pad", "flip"]) is SmallImagesConfig
    assert data_kind(["name", "root", "crop", "resize", "resise"]) is ImageFolderConfig


def test_what_a_killed_process_left_of_its_decoding_is_removed(root: Path, cache: Path) -> None:
    info(config(root))
    [file] = files(cache)
    for name in (file.name, "9-gone.safetensors"):
        (cache / f".{name}.123.tmp").write_bytes(b"half")
    file.unlink()
    info(config(root))
    assert sorted(path.suffix for path in cache.iterdir()) == ["", ".safetensors"]


def test_a_cache_without_room_is_one_line(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("safetensors.numpy.save_file", full)
    with pytest.raises(UserError, match=r"No space left on device.*XDG_CACHE_HOME"):
        data_of(config(root))
