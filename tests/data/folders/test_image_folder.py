"""Class folders of image files: which layouts are read, that batches repeat, and what is said of bad data."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from folders import config, make, picture
from resnet_lab.data import build, info
from resnet_lab.data.datamodule import DataModule
from resnet_lab.data.folders.augment import MEAN, STD
from resnet_lab.data.folders.decoder import Reused, normalise_into, normalised
from resnet_lab.data.order import CPU
from resnet_lab.data.spec import ImageFolderConfig, SmallFolderConfig
from resnet_lab.errors import UserError


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("images"))


def data_of(root: Path, *, seed: int = 0, batch_size: int = 8, **choices: object) -> DataModule:
    data = build(config(root, **choices), batch_size=batch_size, drop_last=False, seed=seed)
    assert isinstance(data, DataModule)
    data.setup()
    return data


def epoch(data: DataModule, number: int = 0) -> list[tuple[Tensor, Tensor]]:
    loader = data.train_dataloader()
    loader.set_epoch(number)
    return list(loader)


def same(ours: list[tuple[Tensor, Tensor]], theirs: list[tuple[Tensor, Tensor]]) -> bool:
    pairs = zip(ours, theirs, strict=True)
    return all(torch.equal(a, b) and torch.equal(x, y) for (a, x), (b, y) in pairs)


def test_batches_are_what_a_net_takes(root: Path) -> None:
    images, labels = epoch(data_of(root))[0]
    assert images.shape == (8, 3, 32, 32)
    assert images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert labels.dtype == torch.int64
    assert -2.2 < images.min() < images.max() < 2.7


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"augmentation": "scale_jitter", "pca_noise": 0.1},
        {"colour_jitter": 0.4, "trivial_augment": True, "random_erasing": 0.5},
    ],
    ids=["inception", "he2015", "modern"],
)
def test_any_number_of_threads_makes_the_same_batches(choices: dict[str, object], root: Path) -> None:
    one, four = (epoch(data_of(root, workers=workers, **choices)) for workers in (1, 4))
    assert same(one, four)
    assert not same(one, epoch(data_of(root, **choices), 1))
    assert not same(one, epoch(data_of(root, seed=1, **choices)))


@pytest.mark.parametrize("given", [1, 3])
def test_an_epoch_is_taken_up_in_its_middle(given: int, root: Path) -> None:
    whole = epoch(data_of(root), 2)
    stopped = data_of(root).train_dataloader()
    stopped.set_epoch(2)
    iterator = iter(stopped)
    before = [next(iterator) for _ in range(given)]
    state = stopped.state_dict()
    iterator.close()  # type: ignore[attr-defined]
    resumed = data_of(root).train_dataloader()
    resumed.load_state_dict(state)
    assert same([*before, *resumed], whole)


def test_several_devices_see_what_one_sees(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def labelled(rank: int, world: int) -> tuple[list[Tensor], list[Tensor]]:
        for module in ("datamodule", "folders.images"):
            monkeypatch.setattr(f"resnet_lab.data.{module}.rank_and_world", lambda: (rank, world))
        data = data_of(root, batch_size=9)
        trained, tested = epoch(data), list(data.test_dataloader())
        return [image for batch, _ in trained for image in batch], [i for batch, _ in tested for i in batch]

    def key(images: list[Tensor]) -> list[float]:
        return sorted(image.double().sum().item() for image in images)

    alone = labelled(0, 1)
    for world in (2, 3):
        shares = [labelled(rank, world) for rank in range(world)]
        for which in (0, 1):
            assert key([image for share in shares for image in share[which]]) == key(alone[which])


def test_whole_images_come_one_by_one_where_their_sizes_differ(tmp_path: Path) -> None:
    root = make(tmp_path)
    picture(1, 40, 80).save(root / "val" / "cat" / "00.jpg")
    views = list(data_of(root).test_views(40, None))
    shapes = {tuple(image.shape) for images, _ in views for image in images}
    assert shapes == {(3, 40, 80), (3, 40, 53)}


def spoil(root: Path) -> Path:
    path = root / "train" / "dog" / "03.jpg"
    path.write_bytes(path.read_bytes()[:300])
    return path


@pytest.mark.parametrize("content", [b"", b"no image", None], ids=["empty", "text", "cut"])
def test_a_broken_image_stops_the_run_with_its_path(content: bytes | None, tmp_path: Path) -> None:
    path = spoil(make(tmp_path))
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"dog/03\.jpg") as caught:
        epoch(data_of(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_broken_image_is_left_out_and_counted_when_asked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spoil(make(tmp_path))
    data = data_of(tmp_path, on_error="skip")
    loader = data.train_dataloader()
    assert sum(len(labels) for _, labels in loader) == 29
    assert len(loader.reader.left_out) == 1
    assert "left out 1 broken images" in caplog.text


def test_a_batch_of_broken_images_is_an_error_even_then(tmp_path: Path) -> None:
    root = make(tmp_path)
    for path in (root / "train").rglob("*.jpg"):
        path.write_bytes(b"")
    with pytest.raises(UserError, match="every image of a batch"):
        epoch(data_of(root, on_error="skip"))


@pytest.mark.parametrize(
    ("choices", "told"),
    [
        ({"root": None}, "data.root"),
        ({"root": "nowhere/at/all"}, "no such folder: nowhere/at/all"),
        ({"augmentation": "incepton"}, "inception"),
        ({"on_error": "skp"}, "skip"),
        ({"crop": 40}, "1 to data.resize=36"),
        ({"augmentation": "scale_jitter", "scale_min": 20}, "rise from data.crop=32"),
        ({"test_share": 1.0}, "less than 1"),
        ({"random_erasing": 2.0}, "at most 1"),
        ({"pca_noise": -1.0}, "at least 0"),
        ({"workers": 0}, "at least 1"),
    ],
)
def test_a_choice_that_makes_no_sense_is_one_line(choices: dict[str, object], told: str, root: Path) -> None:
    with pytest.raises(UserError, match=told) as caught:
        info(config(root, **choices))
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable to root")
def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "train").chmod(0)
    with pytest.raises(UserError, match="cannot read"):
        info(config(tmp_path))


def test_a_device_normalises_a_batch_as_the_cpu_does_each_picture() -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (3, 5, 4, 3), dtype=np.uint8)
    noise = random.normal(size=(3, 3)).astype(np.float32)
    noise[0] = 0
    each = torch.empty(pixels.shape)
    for place in range(3):
        normalise_into(each[place], pixels[place], noise[place])
    batch = normalised(torch.from_numpy(pixels).permute(0, 3, 1, 2), torch.from_numpy(noise), CPU)
    assert torch.equal(batch, each.permute(0, 3, 1, 2))
    expected = (torch.from_numpy(pixels / 255 + noise[:, None, None]) - torch.tensor(MEAN)) / torch.tensor(
        STD
    )
    torch.testing.assert_close(each, expected.float(), atol=1e-5, rtol=1e-5)


def test_memory_of_a_batch_is_taken_again_once_nobody_holds_a_part_of_it() -> None:
    memory = Reused()
    batch = memory.take((4, 2))
    place, part = batch.data_ptr(), batch[1:].T
    del batch
    assert memory.take((4, 2)).data_ptr() != place
    del part
    assert memory.take((4, 2)).data_ptr() == place
    assert len(memory.take((9, 9))) == 9


def test_batches_that_are_kept_stay_as_they_were(root: Path) -> None:
    kept = [(images, images.clone()) for images, _ in data_of(root).train_dataloader()]
    assert all(torch.equal(images, then) for images, then in kept)


@pytest.mark.parametrize("data", [ImageFolderConfig, SmallFolderConfig])
def test_pictures_of_every_suffix_are_read_and_the_rest_is_counted(
    data: type[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = make(tmp_path / "images", splits=("",), images=10)
    whole = info(config(root) if data is ImageFolderConfig else data("small_folder", str(root)))
    for number, name in enumerate(("a.jfif", "b.JPE", "c", "d.gif", "e.avif")):
        path = root / "cat" / f"{number:02d}.jpg"
        if name in ("d.gif", "e.avif"):
            picture(number).save(root / "cat" / name)
            path.unlink()
        else:
            path.rename(root / "cat" / name)
    (root / "cat" / "f.heic").write_bytes(b"....ftypheic")
    (root / "dog" / "notes").write_text("no image")
    chosen = config(root) if data is ImageFolderConfig else data("small_folder", str(root))
    assert info(chosen).training == whole.training
    built = build(chosen, batch_size=4, drop_last=False, seed=0)
    built.setup()
    assert sum(len(images) for images, _ in built.train_dataloader()) == whole.training
    assert "left out 2 files that Pillow does not read, for example cat/f.heic" in caplog.text


def test_a_pipe_among_the_images_is_a_broken_image(tmp_path: Path) -> None:
    root = make(tmp_path / "images", splits=("",), images=2)
    os.mkfifo(root / "cat" / "x.jpg")
    data = build(config(root), batch_size=5, drop_last=False, seed=0)
    data.setup()
    with pytest.raises(UserError, match=r"broken image .*x\.jpg: it is not a regular file"):
        [list(data.train_dataloader()), list(data.test_dataloader())]


def test_test_images_of_one_class_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = make(tmp_path / "images", splits=("",), images=1)
    for number in range(8):
        picture(number).save(root / "eel" / f"more{number}.jpg")
    build(config(root), batch_size=5, drop_last=False, seed=0).setup()
    assert "the 2 test images are all of one class, eel" in caplog.text
