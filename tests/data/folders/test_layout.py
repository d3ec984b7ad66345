"""Which folders are taken for what, and what is said where another one was meant."""

from pathlib import Path

import pytest
import torch

from folders import CLASSES, config, make, picture
from resnet_lab.config.request import compose
from resnet_lab.data import build, info
from resnet_lab.data.folders.fingerprint import look
from resnet_lab.errors import UserError


@pytest.mark.parametrize(
    ("folders", "parts"),
    [
        (("train", "val"), {"train": "train", "test": "val"}),
        (("Train", "Test"), {"train": "Train", "test": "Test"}),
        (("train", "valid"), {"train": "train", "test": "valid"}),
        (("training", "VALIDATION"), {"train": "training", "test": "VALIDATION"}),
        (("train", "valid", "testing"), {"train": "train", "val": "valid", "test": "testing"}),
        (("",), {"train": ""}),
    ],
)
def test_splits_are_known_by_their_usual_names(
    folders: tuple[str, ...], parts: dict[str, str], tmp_path: Path
) -> None:
    root = make(tmp_path, folders, images=1)
    for folder in (root, root / folders[0]):
        for name in ("__MACOSX", ".cache"):
            (folder / name).mkdir(exist_ok=True)
    found = look(root)
    assert found.splits == {part: root / name for part, name in parts.items()}
    assert found.class_names == CLASSES
    assert found.counts == dict.fromkeys(parts, 3)


def image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".txt":
        path.touch()
    else:
        picture(0, 8, 8).save(path)


SET = ["train/cat/1.png", "train/dog/1.png", "val/cat/1.png", "val/dog/1.png"]


@pytest.mark.parametrize(
    ("files", "root", "told"),
    [
        ([f"archive/{name}" for name in SET], "", "data.root={}/archive would do"),
        ([f"a/b/{name}" for name in SET], "", "data.root={}/a/b would do"),
        (["a/cat/1.png", "a/dog/1.png"], "", "data.root={}/a would do"),
        ([f"one/{name}" for name in SET] + ["two/1.png"], "", "data.root={}/one would do"),
        (SET, "train", "is one part of the images: data.root={} has all"),
        (SET, "val", "is one part of the images: data.root={} has all"),
        (SET, "train/cat", "is one part of the images: data.root={} has all"),
        (["cat/1.png", "dog/1.png", "test/1.png"], "", "has a test folder, but no train folder"),
        (["Valid/cat/1.png", "Valid/dog/1.png"], "", "has a Valid folder, but no train folder"),
        (["train/cat/1.png", "train/dog/1.png", "fox/1.png"], "", "data.root={}/train holds out a share"),
        ([*SET, "Train/cat/1.png"], "", "Train and train, which both hold the train images"),
        ([*SET, "valid/cat/1.png"], "", "val and valid, which both hold the val images"),
        (["train/train/1.png", "train/val/1.png", "val/cat/1.png"], "", "train/train would be a class"),
        (
            ["cat/train/1.png", "cat/test/1.png", "dog/train/1.png"],
            "",
            "splits come first, for example in test/cat",
        ),
        ([*SET, "train/cat/val/1.png"], "", "splits come first, for example in val/cat"),
        (["1.png"], "", "neither a train folder nor class folders"),
        (["notes.txt"], "", "neither a train folder nor class folders"),
        (["train/1.png", "val/cat/1.png"], "", "train has no class folders"),
        ([*SET, "train/fox/a.txt", "val/fox/a.txt"], "", "fox holds no image"),
        ([*SET, "train/fox/1.png"], "", "val lacks class 'fox'"),
        ([*SET, "val/fox/1.png"], "", "val has class 'fox'"),
        ([*SET[:2], "val/ILSVRC2012_val_00000001.JPEG"], "", "is flat, as ImageNet's archive unpacks"),
        ([*SET, "test/1.png"], "", "test has no class folder of classes 'cat', 'dog'"),
    ],
)
def test_another_root_is_refused_with_the_one_that_would_do(
    files: list[str], root: str, told: str, tmp_path: Path
) -> None:
    for name in files:
        image(tmp_path / name)
    with pytest.raises(UserError) as caught:
        info(config(tmp_path / root))
    assert told.format(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_class_is_nothing_to_train_on(tmp_path: Path) -> None:
    image(tmp_path / "cat" / "1.png")
    image(tmp_path / "cat" / "2.png")
    with pytest.raises(UserError, match=r"holds one class \(cat\)"):
        compose(["data=image_folder", f"data.root={tmp_path}", "data.test_share=0.5", "model=resnet18"])


def test_the_home_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "images", images=1)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert info(config("~/images")).class_names == CLASSES


def test_links_to_folders_and_files_are_followed(tmp_path: Path) -> None:
    kept = make(tmp_path / "kept", images=2)
    root = tmp_path / "links"
    for part in ("train", "val"):
        (root / part).mkdir(parents=True)
        (root / part / "cat").symlink_to(kept / part / "cat")
        (root / part / "dog").mkdir()
        (root / part / "dog" / "1.jpg").symlink_to(kept / part / "dog" / "00.jpg")
    data = build(config(root), batch_size=2, drop_last=False, seed=0)
    data.setup()
    labels = torch.cat([labels for _, labels in data.train_dataloader()])
    assert sorted(labels.tolist()) == [0, 0, 1]


@pytest.mark.parametrize("target", [".", "..", "../.."])
def test_a_circle_of_links_is_one_line(target: str, tmp_path: Path) -> None:
    root = make(tmp_path, images=1)
    (root / "train" / "cat" / "again").symlink_to(target)
    with pytest.raises(UserError, match=r"links? back|splits come first|more splits") as caught:
        info(config(root))
    assert "\n" not in str(caught.value)


def test_a_link_to_itself_is_no_folder_and_a_broken_image(tmp_path: Path) -> None:
    root = make(tmp_path, images=1)
    (root / "loop").symlink_to("loop")
    (root / "train" / "loop").symlink_to("loop")
    (root / "train" / "cat" / "loop.jpg").symlink_to("loop.jpg")
    data = build(config(root), batch_size=4, drop_last=False, seed=0)
    data.setup()
    with pytest.raises(UserError, match=r"broken image .*cat/loop\.jpg: Too many levels"):
        list(data.train_dataloader())


@pytest.mark.parametrize("links", ["loop -> loop", "a -> b, b -> a"])
def test_a_root_of_circling_links_is_one_line(links: str, tmp_path: Path) -> None:
    for link in links.split(", "):
        name, target = link.split(" -> ")
        (tmp_path / name).symlink_to(target)
    with pytest.raises(UserError, match=r"Too many levels of symbolic links|no such folder") as caught:
        info(config(tmp_path / links.split(" ")[0]))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ({"validation": 6}, "data.validation=6: allowed are 0 to 5 images"),
        ({"train_images": 7}, "data.train_images=7: allowed are 1 to 6 images"),
        ({"test_images": 7}, "data.test_images=7: allowed are 1 to 6 images"),
        ({"validation": 4, "train_images": 3}, "data.train_images=3: allowed are 1 to 2 images"),
    ],
)
def test_more_images_than_there_are_is_told_before_anything_is_trained(
    choice: dict[str, int], told: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=told):
        info(config(make(tmp_path, images=2), **choice))


def test_a_share_of_no_image_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.test_share=0\.01 of 6 images leaves none"):
        info(config(make(tmp_path, ("",), images=2), test_share=0.01))
