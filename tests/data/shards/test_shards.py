"""Prepared copies: what is written, that a killed preparation goes on, and that shards train like their folder."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from folders import CLASSES, config, make, picture
from resnet_lab.data import build, info
from resnet_lab.data.folders.images import FolderFiles
from resnet_lab.data.shards import Prepared
from resnet_lab.data.shards.prepare import MANIFEST, PARTIAL, prepare
from resnet_lab.data.shards.shard_files import ShardFiles
from resnet_lab.errors import UserError

SIZE = 40


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resnet_lab.data.shards.prepare.SHARD", 4)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = make(tmp_path / "images")
    picture(99, 20, 30).save(root / "train" / "cat" / "small.png")
    return root


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "index.json"
    }


def test_shards_hold_every_image_once_and_test_images_byte_for_byte(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "shards"
    assert prepare(config(root), out, size=SIZE, workers=2) == 0
    prepared = Prepared(str(out))
    assert prepared.class_names == CLASSES
    assert prepared.counts == {"train": 31, "test": 30}

    folder, shards = FolderFiles(root / "val", CLASSES), ShardFiles(prepared, "test")
    assert [shards.read(place) for place in range(30)] == [folder.read(place) for place in range(30)]
    assert torch.equal(shards.labels, folder.labels)

    trained = ShardFiles(prepared, "train")
    assert trained.labels.bincount().tolist() == [11, 10, 10]
    sides = sorted(min(Image.open(io.BytesIO(trained.read(place))).size) for place in range(31))
    assert sides == [20, *[SIZE] * 30]


def test_training_images_of_shards_are_those_of_the_folder(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "shards"
    prepare(config(root), out, size=SIZE)

    def thumbnail(data: bytes) -> tuple[int, ...]:
        image = Image.open(io.BytesIO(data)).convert("RGB").resize((4, 3), Image.Resampling.BOX)
        return tuple(np.asarray(image, int).flatten().tolist())

    shards, folder = ShardFiles(Prepared(str(out)), "train"), FolderFiles(root / "train", CLASSES)
    originals = [(thumbnail(folder.read(i)), int(folder.labels[i])) for i in range(31)]
    for place in range(31):
        seen = np.array(thumbnail(shards.read(place)))
        nearest = min(originals, key=lambda each: np.abs(seen - each[0]).sum())
        assert np.abs(seen - nearest[0]).mean() < 3
        assert nearest[1] == int(shards.labels[place])
        originals.remove(nearest)


def test_a_run_on_shards_has_the_folders_test_batches(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "shards"
    prepare(config(root), out, size=SIZE)

    def tested(choices: dict[str, str]) -> list[torch.Tensor]:
        data = build(config(root, **choices), batch_size=8, drop_last=False, seed=0)
        data.setup()
        return [images for images, _ in data.test_dataloader()]

    folder, shards = tested({}), tested({"name": "imagenet_shards", "root": str(out)})
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(shards, folder, strict=True))


def test_a_killed_preparation_goes_on_and_ends_the_same(root: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    prepare(config(root), whole, size=SIZE)
    prepare(config(root), killed, size=SIZE)
    # As a kill leaves it: no manifest, a shard missing, a part of one under its temporary name.
    (killed / MANIFEST).unlink()
    (killed / "train" / "chunk-0-1.bin").unlink()
    partial = killed / "train" / f"{PARTIAL}abc"
    partial.mkdir()
    (partial / "chunk.bin").write_bytes(b"half")
    kept = (killed / "train" / "chunk-0-0.bin").stat().st_mtime_ns
    with pytest.raises(UserError, match="did not finish"):
        info(config(killed, name="imagenet_shards"))

    prepare(config(root), killed, size=SIZE)
    assert (killed / "train" / "chunk-0-0.bin").stat().st_mtime_ns == kept, "whole shards are kept"
    assert files(killed) == files(whole)


def test_a_finished_preparation_is_not_repeated(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(config(root), tmp_path / "out", size=SIZE)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    assert prepare(config(root), tmp_path / "out", size=SIZE) == 0
    assert "prepared already" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before


def test_a_full_disk_is_one_line_and_leaves_nothing_that_is_trusted(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, settle, settled = tmp_path / "out", Path.replace, []

    def full(path: Path, target: Path) -> Path:
        if Path(target).suffix == ".bin" and len(settled) == 3:
            raise OSError(28, "No space left on device")
        settled.append(target)
        return settle(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(UserError, match="No space left on device") as caught:
            prepare(config(root), out, size=SIZE, workers=1)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="did not finish"):
        info(config(out, name="imagenet_shards"))
    prepare(config(root), out, size=SIZE)
    assert Prepared(str(out)).counts["train"] == 31


def test_a_broken_image_stops_the_preparation_or_is_left_out(root: Path, tmp_path: Path) -> None:
    (root / "train" / "dog" / "03.jpg").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"dog/03\.jpg"):
        prepare(config(root), tmp_path / "out", size=SIZE)
    prepare(config(root, on_error="skip"), tmp_path / "out", size=SIZE)
    assert Prepared(str(tmp_path / "out")).counts["train"] == 30


def test_another_size_or_a_folder_in_use_is_refused(root: Path, tmp_path: Path) -> None:
    prepare(config(root), tmp_path / "out", size=SIZE)
    with pytest.raises(UserError, match="another size"):
        prepare(config(root), tmp_path / "out", size=SIZE + 1)
    used = tmp_path / "used"
    used.mkdir()
    (used / "mine.txt").touch()
    with pytest.raises(UserError, match="not empty"):
        prepare(config(root), used, size=SIZE)
    with pytest.raises(UserError, match=r"less than data\.crop"):
        prepare(config(root), tmp_path / "small", size=16)


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_shard_is_named(damage: str, root: Path, tmp_path: Path) -> None:
    prepare(config(root), tmp_path / "out", size=SIZE)
    shard = tmp_path / "out" / "train" / "chunk-0-2.bin"
    if damage == "gone":
        shard.unlink()
    else:
        shard.write_bytes(shard.read_bytes()[:-1])
    data = build(config(tmp_path / "out", name="imagenet_shards"), batch_size=8, drop_last=False, seed=0)
    with pytest.raises(UserError, match=r"chunk-0-2\.bin"):
        data.setup()


def test_no_prepared_set_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="resnet-lab prepare"):
        info(config(tmp_path, name="imagenet_shards"))


def test_shards_of_a_url_are_fetched_once_and_kept(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, fetched = tmp_path / "out", []
    prepare(config(root), out, size=SIZE)

    class Bucket:
        def download_file(self, url: str, path: str) -> None:
            fetched.append(url)
            shutil.copy(out / url.removeprefix("s3://bucket/set/"), path)

    monkeypatch.setattr("litdata.streaming.downloader.get_downloader", lambda *_: Bucket())
    remote = config("s3://bucket/set", name="imagenet_shards", cache=str(tmp_path / "cache"))

    def labels(choices: object) -> list[int]:
        data = build(choices, batch_size=8, drop_last=False, seed=0)  # type: ignore[arg-type]
        data.setup()
        return [label for _, batch in data.train_dataloader() for label in batch.tolist()]

    assert labels(remote) == labels(config(out, name="imagenet_shards"))
    chunks = [url for url in fetched if url.endswith(".bin") and "train" in url]
    assert len(chunks) == len(set(chunks)) == 8
    fetched.clear()
    labels(remote)
    assert not [url for url in fetched if url.endswith(".bin")], "what is kept is not fetched again"
