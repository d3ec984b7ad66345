"""data.mean=auto: what a net is trained and tested on has mean 0 and deviation 1 in each channel."""

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from folders import config, make
from resnet_lab.data import build, info
from resnet_lab.data.datamodule import DataModule
from resnet_lab.data.spec import DataConfig, OwnConfig, SmallImagesConfig
from resnet_lab.errors import UserError


class Noise:
    classes = ("a", "b")

    def __init__(self, count: int) -> None:
        self.images = np.random.default_rng(count).integers(0, 99, (count, 5, 4, 3), dtype=np.uint8)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Any:
        return self.images[index], index % 2


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> OwnConfig:
    module = ModuleType("noise")
    module.made = lambda: {"train": Noise(24), "test": Noise(8)}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "noise", module)
    return OwnConfig(name="mine", _target_="noise.made", mean="auto", workers=0)


@pytest.fixture(params=["small", "folder", "own"])
def data(request: pytest.FixtureRequest, tmp_path: Path, own: OwnConfig) -> DataConfig:
    if request.param == "small":
        return SmallImagesConfig(name="digits", pad=0, flip=False, mean="auto")
    if request.param == "folder":
        plain: dict[str, Any] = {
            "flip": False,
            "augmentation": "scale_jitter",
            "scale_min": 36,
            "scale_max": 36,
        }
        return config(make(tmp_path), mean="auto", **plain)
    return own


def opened(config: DataConfig) -> DataModule:
    data = build(config, batch_size=8, drop_last=False, seed=0)
    data.setup()
    return data


def test_training_images_have_mean_0_and_deviation_1(data: DataConfig) -> None:
    images = torch.cat([images for images, _ in opened(data).train_dataloader()])
    near = 0.2 if isinstance(data, type(config("x"))) else 1e-3  # of files a random part of the image is seen
    assert images.mean((0, 2, 3)).abs().max() < near
    assert (images.std((0, 2, 3), correction=0) - 1).abs().max() < near


def test_what_a_file_is_normalised_by_is_what_was_measured(data: DataConfig) -> None:
    seen = opened(data).preprocessing()
    again = opened(data).preprocessing()
    assert torch.equal(seen.mean, again.mean)
    assert torch.equal(seen.std, again.std)
    assert not seen.per_pixel
    assert info(replace(data, train_images=6)).training == 6
    assert not torch.equal(opened(replace(data, train_images=6)).preprocessing().mean, seen.mean)


@pytest.mark.parametrize(
    "wrong", [{"mean": "automatic"}, {"mean": ["a"]}, {"mean": "auto", "std": [1.0] * 3}]
)
def test_another_word_than_auto_is_told(own: OwnConfig, wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"data\.mean"):
        info(replace(own, **wrong))
