"""A transform of one's own: what it draws is a function of (seed, epoch, index), wherever an epoch is taken up."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from folders import config, make
from resnet_lab.data import build, info
from resnet_lab.data.spec import DataConfig, SmallImagesConfig
from resnet_lab.errors import UserError

JITTER = {"_target_": "torchvision.transforms.v2.ColorJitter", "brightness": 0.9}
INVERT = {"_target_": "torchvision.transforms.v2.RandomInvert", "p": 1.0}


@pytest.fixture(params=["small", "folder"])
def data(request: pytest.FixtureRequest, tmp_path: Path) -> DataConfig:
    if request.param == "small":
        return SmallImagesConfig(name="digits", train_images=20, mean="channel", pad=0, flip=False)
    plain: dict[str, Any] = {"flip": False, "augmentation": "scale_jitter", "scale_min": 36, "scale_max": 36}
    return config(make(tmp_path), **plain)


def epoch(config: Any, number: int = 0, seed: int = 0, start: int = 0, **choices: Any) -> list[Tensor]:
    data = build(replace(config, **choices), batch_size=6, drop_last=False, seed=seed)
    data.setup()
    loader = data.train_dataloader()
    loader.load_state_dict({"epoch": number, "batch": start})
    seen = data.preprocessing()
    return [images * seen.std + seen.mean for images, _ in loader]


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_an_epoch_repeats_from_any_batch_and_whatever_was_drawn_before(data: DataConfig) -> None:
    whole = epoch(data, 1, transform=JITTER)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert same(epoch(data, 1, start=2, transform=JITTER), whole[2:])
    assert torch.equal(torch.get_rng_state(), before)
    assert not same(whole, epoch(data, 2, transform=JITTER))
    assert not same(whole, epoch(data, 1, seed=1, transform=JITTER))


def test_the_training_images_are_transformed_and_no_others(data: DataConfig) -> None:
    plain, inverted = epoch(data), epoch(data, transform=INVERT)
    assert torch.allclose(torch.cat(plain), 1 - torch.cat(inverted), atol=1e-5)
    tested = []
    for chosen in (replace(data, transform=INVERT), data):
        built = build(chosen, batch_size=6, drop_last=False, seed=0)
        built.setup()
        seen = built.preprocessing()
        tested.append(torch.cat([images * seen.std + seen.mean for images, _ in built.test_dataloader()]))
    assert torch.allclose(*tested, atol=1e-5)


def test_each_image_of_a_batch_draws_for_itself(data: DataConfig) -> None:
    plain, changed = torch.cat(epoch(data)), torch.cat(epoch(data, transform=JITTER))
    ratios = changed.flatten(1).sum(1) / plain.flatten(1).sum(1)
    assert len(ratios.mul(1000).round().unique()) > len(ratios) / 2


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"_target_": "torchvision.transforms.v2.CenterCrop", "size": 3}, r"makes torch.uint8 \(\d, 3, 3\)"),
        ({"_target_": "torchvision.transforms.v2.ToPILImage"}, "makes Image"),
        ({"_target_": "torchvision.transforms.v2.ColourJitter"}, "did you mean"),
        ({"degrees": 10}, "_target_"),
    ],
)
def test_a_transform_that_no_run_could_use_is_told(data: Any, spec: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        info(replace(data, transform=spec))
