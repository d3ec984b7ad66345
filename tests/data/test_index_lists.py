"""Which images each kind of data trains, validates and tests on, in which batches: equal to a golden file.

The images say themselves which they are: each is of one grey of its own. Made anew, where a change is meant, with

    REMAKE=1 python -m pytest tests/data/test_index_lists.py
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import LightningDataModule
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from resnet_lab.data import build
from resnet_lab.data.shards.prepare import prepare
from resnet_lab.data.small import SETS
from resnet_lab.data.spec import (
    DataConfig,
    ImageFolderConfig,
    OwnConfig,
    ShardsConfig,
    SmallFolderConfig,
    SmallImagesConfig,
)

GOLDEN = Path(__file__).with_name("index_lists.json")
COUNTS = {"train": (20, 13, 8), "val": (3, 5, 2), "test": (6, 4, 7)}  # images of each class
LAYOUTS = {"alone": ("train",), "two": ("train", "test"), "three": ("train", "val", "test")}
WAYS: list[dict[str, Any]] = [  # of composing batches: seed, images of a batch, and the rank of two devices
    {"seed": 0, "batch_size": 8, "drop_last": False},
    {"seed": 7, "batch_size": 5, "drop_last": True},
    {"seed": 7, "batch_size": 5, "drop_last": True, "rank": 0},
    {"seed": 7, "batch_size": 5, "drop_last": True, "rank": 1},
]
SUBSETS: list[dict[str, int]] = [
    {},
    {"validation": 6},
    {"train_images": 21, "test_images": 5},
    {"validation": 4, "train_images": 17, "test_images": 7},
]


def numbered(part: str) -> tuple[list[int], list[int]]:
    """The numbers of the images of a part, which no other part has, and their labels."""
    first = sum(sum(COUNTS[each]) for each in list(COUNTS)[: list(COUNTS).index(part)])
    labels = [label for label, count in enumerate(COUNTS[part]) for _ in range(count)]
    return list(range(first, first + len(labels))), labels


def grey(number: int) -> int:
    return 10 + 3 * number


def folders(root: Path, layout: str) -> Path:
    for part in LAYOUTS[layout]:
        folder = root / layout / part if layout != "alone" else root / layout
        for number, label in zip(*numbered(part), strict=True):
            place = folder / f"class{label}" / f"{number:03d}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (12, 12), (grey(number),) * 3).save(place)
    return root / layout


class Own(list[Any]):
    classes = ("a", "b", "c")

    def __init__(self, part: str) -> None:
        numbers, labels = numbered(part)
        super().__init__(
            (np.full((6, 6), grey(number), np.uint8), label)
            for number, label in zip(numbers, labels, strict=True)
        )


def own(layout: str) -> dict[str, Own]:
    return {part: Own(part) for part in LAYOUTS[layout]}


class Module(LightningDataModule):
    def __init__(self, batch_size: int = 4) -> None:
        super().__init__()
        self.batch_size = batch_size

    def loader(self, part: str, **choices: Any) -> Any:
        images = [(torch.from_numpy(image)[None] / 255, label) for image, label in Own(part)]
        return DataLoader(images, self.batch_size, **choices)  # type: ignore[arg-type]

    def train_dataloader(self) -> Any:
        return self.loader("train", shuffle=True)

    def val_dataloader(self) -> Any:
        return self.loader("val")

    def test_dataloader(self) -> Any:
        return self.loader("test")


def configurations(root: Path) -> Iterable[tuple[str, DataConfig]]:
    """Each kind of data, by a name, on images of its own."""
    small: dict[str, Any] = {"mean": "channel", "pad": 0, "flip": False}
    large: dict[str, Any] = {"crop": 8, "resize": 10, "scale_min": 10, "scale_max": 12}
    for layout in LAYOUTS:
        images = str(folders(root, layout))
        yield f"small_folder {layout}", SmallFolderConfig("small_folder", images, **small)
        yield f"image_folder {layout}", ImageFolderConfig("image_folder", images, **large)
        shards = root / f"{layout}-shards"
        prepare(ImageFolderConfig("image_folder", images, **large), shards, size=12)
        yield f"shards {layout}", ShardsConfig("imagenet_shards", str(shards), **large)
        if layout != "alone":
            target = f"{__name__}.own"
            yield f"own {layout}", OwnConfig("own", _target_=target, args={"layout": layout}, workers=0)
    yield "digits", SmallImagesConfig("digits", size=8, **small)
    yield "module", OwnConfig("own", _target_=f"{__name__}.Module", classes=3)


def subsets(name: str) -> list[dict[str, int]]:
    if name == "module":  # it chooses its images itself
        return [{}]
    if name == "digits":
        return [{**chosen, "train_images": 25, "test_images": 11} for chosen in SUBSETS[:2]]
    if name.endswith("three"):
        return [chosen for chosen in SUBSETS if "validation" not in chosen]
    return SUBSETS


@pytest.fixture
def digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their files as they are, each pixel of an image its number in two digits of base 100, so that all differ."""
    known = SETS["digits"]

    def read(config: SmallImagesConfig) -> Any:
        (train, train_labels), (test, test_labels) = known.read(config)
        for images in (train, test):
            number = np.arange(len(images))
            images[:] = 0
            images[:, 0, 0, 0], images[:, 0, 1, 0] = number % 100, number // 100
        return (train, train_labels), (test, test_labels)

    monkeypatch.setitem(SETS, "digits", type(known)(**{**vars(known), "read": read}))


def numbers(name: str, pixels: Tensor) -> list[int]:
    """Which images these are, of pixels (N, C, H, W) from 0 to 255."""
    if name == "digits":
        return [int(image[0, 0, 0].round()) + 100 * int(image[0, 0, 1].round()) for image in pixels]
    return [round((float(image.mean()) - 10) / 3) for image in pixels]


def lists(name: str, config: DataConfig, seed: int, batch_size: int, drop_last: bool) -> dict[str, str]:
    """The numbers of the images of each batch: of two epochs, of an epoch from its third batch on, of the tests."""
    data = build(config, batch_size=batch_size, drop_last=drop_last, seed=seed)
    data.setup("fit")
    seen = data.preprocessing()

    def written(batches: Iterable[Any]) -> str:
        return " | ".join(
            " ".join(map(str, numbers(name, (images * seen.std + seen.mean) * 255))) for images, _ in batches
        )

    found = {}
    train: Any = data.train_dataloader()
    for epoch in (0, 1):
        train.sampler.set_epoch(epoch)
        found[f"epoch {epoch}"] = written(train)
    train.load_state_dict({"epoch": 1, "batch": 2})
    assert written(train) == found["epoch 1"].split(" | ", 2)[2]
    for part, loader in zip(data.eval_names, data.val_dataloader(), strict=True):
        found[part] = written(loader)
    return found


def test_the_images_of_every_kind_of_data_are_those_of_the_golden_file(
    tmp_path: Path,
    digits: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "resnet_lab.data.shards.prepare.SHARD", 2
    )  # images, so that an epoch has some windows
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found: dict[str, dict[str, str]] = {}
    for name, config in configurations(tmp_path):
        for subset in subsets(name):
            for way in WAYS:
                if name == "module" and "rank" in way:
                    continue
                rank = {"is_initialized": True, "get_rank": way.get("rank", 0), "get_world_size": 2}
                with monkeypatch.context() as patched:
                    if "rank" in way:
                        for function, value in rank.items():
                            patched.setattr(torch.distributed, function, lambda value=value: value)
                    case = " ".join(f"{key}={value}" for key, value in {**subset, **way}.items())
                    chosen = type(config)(**{**vars(config), **subset})
                    how = {key: value for key, value in way.items() if key != "rank"}
                    found[f"{name} {case}"] = lists(name, chosen, **how)
    if os.environ.get("REMAKE"):
        GOLDEN.write_text(json.dumps(found, indent=1) + "\n")
    assert found == json.loads(GOLDEN.read_text())
