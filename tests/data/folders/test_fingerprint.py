"""Which images are the same images: wherever they lie, and never for a name alone."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from folders import config, make, picture
from resnet_lab.config.identity import identity
from resnet_lab.config.request import compose
from resnet_lab.config.schema import TrainConfig
from resnet_lab.data import info
from resnet_lab.data.folders import fingerprint
from resnet_lab.data.folders.fingerprint import look
from resnet_lab.data.shards.prepare import prepare
from resnet_lab.errors import UserError
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make(tmp_path / "one" / "images", images=2)


def asked(root: Path, data: str = "image_folder") -> TrainConfig:
    sizes = [
        "data.crop=32",
        "data.resize=36",
        "model=resnet18",
        "recipe.batch_size=2",
        "recipe.drop_last=true",
    ]
    return compose([f"data={data}", f"data.root={root}", *sizes])


def rename_a_class(root: Path) -> None:
    for part in ("train", "val"):
        (root / part / "eel").rename(root / part / "fox")


def rename_a_file(root: Path) -> None:
    (root / "train" / "cat" / "00.jpg").rename(root / "train" / "cat" / "07.jpg")


def write_another_image_in_place(root: Path) -> None:
    picture(99).save(root / "train" / "cat" / "00.jpg", quality=50)


def move_an_image_to_another_class(root: Path) -> None:
    (root / "train" / "cat" / "00.jpg").rename(root / "train" / "dog" / "07.jpg")


def move_an_image_to_another_split(root: Path) -> None:
    (root / "train" / "cat" / "00.jpg").rename(root / "val" / "cat" / "07.jpg")


def swap_the_splits(root: Path) -> None:
    (root / "train").rename(root / "old")
    (root / "val").rename(root / "train")
    (root / "old").rename(root / "val")


def take_an_image_away(root: Path) -> None:
    (root / "val" / "dog" / "00.jpg").unlink()


CHANGES = [
    rename_a_class,
    rename_a_file,
    write_another_image_in_place,
    move_an_image_to_another_class,
    move_an_image_to_another_split,
    swap_the_splits,
    take_an_image_away,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_other_images_under_the_same_names_are_another_run(
    change: Callable[[Path], None], root: Path, tmp_path: Path
) -> None:
    other = tmp_path / "two" / "images"
    shutil.copytree(root, other)
    change(other)
    assert identity(asked(other)) != identity(asked(root))


def test_a_copy_elsewhere_is_the_same_run(root: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "under another name"
    shutil.copytree(root, elsewhere)
    (elsewhere / "val").rename(elsewhere / "Test")
    os.utime(elsewhere / "train" / "cat" / "00.jpg", (0, 0))
    (elsewhere / "train" / ".DS_Store").touch()
    link = tmp_path / "link"
    link.symlink_to(elsewhere)
    assert identity(asked(elsewhere)) == identity(asked(link)) == identity(asked(root))


def test_shards_are_told_apart_by_what_was_prepared(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "two" / "images"
    shutil.copytree(root, other)
    write_another_image_in_place(other)

    def prepared(of: Path, name: str) -> str:
        prepare(config(of), tmp_path / name / "shards", size=40)
        return identity(asked(tmp_path / name / "shards", "imagenet_shards"))

    first = prepared(root, "a")
    assert prepared(root, "b") == first
    assert prepared(other, "c") != first


def test_a_fingerprint_that_is_not_that_of_the_images_is_one_line(root: Path) -> None:
    told = info(config(root)).fingerprint
    assert info(config(root, fingerprint=told)).fingerprint == told
    with pytest.raises(UserError, match=f"holds other images than data.fingerprint=12-0: theirs is {told}"):
        info(config(root, fingerprint="12-0"))


def test_a_plan_of_imagenet_elsewhere_has_no_fingerprint() -> None:
    assert compose(["data=imagenet", "model=resnet50"], planned=True).data.fingerprint is None  # type: ignore[attr-defined]


def test_an_old_run_does_not_train_on_other_images(root: Path, tmp_path: Path) -> None:
    chosen = asked(root)
    chosen.runs_root = str(tmp_path / "runs")
    folder = RunFolder.create(chosen)
    write_another_image_in_place(root)
    error = execute(folder.path).error
    assert error.kind == "user_error"
    assert "holds other images than" in error.message
    assert not list(folder.path.glob("checkpoints/*"))


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every look counts as slow, and no folder is as young as it is; lists what is looked at in full."""
    looks: list[str] = []
    monkeypatch.setattr(fingerprint, "SLOW", -1.0)
    monkeypatch.setattr(fingerprint, "SETTLED", -1e9)
    full = fingerprint.find_layout
    monkeypatch.setattr(fingerprint, "find_layout", lambda root: looks.append(root.name) or full(root))
    return looks


def test_what_took_long_is_looked_at_once_while_its_folders_stay_as_they_are(
    slow: list[str], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = look(root)
    monkeypatch.chdir(root.parent)
    assert look(Path("images")).fingerprint == first.fingerprint
    assert look(root) == first
    assert len(slow) == 1


@pytest.mark.parametrize("change", [each for each in CHANGES if each is not write_another_image_in_place])
def test_a_folder_that_changed_is_looked_at_again(
    change: Callable[[Path], None], slow: list[str], root: Path
) -> None:
    first = look(root)
    time.sleep(0.02)  # a tick of the file system's clock
    change(root)
    assert look(root).fingerprint != first.fingerprint
    assert len(slow) == 2


def test_folders_that_are_still_changing_are_not_remembered(
    slow: list[str], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprint, "SETTLED", 60.0)
    look(root)
    look(root)
    assert len(slow) == 2


@pytest.mark.parametrize("content", ["", "[]", '{"version": 1}', '{"version": 1, "folders": {".": 3}}', "\0"])
def test_a_cache_that_cannot_be_read_costs_time_alone(
    content: str, slow: list[str], root: Path, own_cache: Path
) -> None:
    first = look(root)
    (note,) = own_cache.glob("resnet-lab/images/*")
    note.write_text(content)
    assert look(root) == first
    assert len(slow) == 2


def test_a_cache_that_cannot_be_written_costs_time_alone(
    slow: list[str], root: Path, own_cache: Path
) -> None:
    own_cache.write_text("a file")
    assert look(root) == look(root)
