"""Batches for a GPU: what crosses to it in a step, and that nothing waits. The meta device, without numbers, stands for
it: what looks at a value there raises."""

from pathlib import Path

import pytest
import torch

from dispatched import Dispatched
from folders import config, make
from resnet_lab.data import build
from resnet_lab.data.datamodule import DataModule
from resnet_lab.data.folders.decoder import normalised
from resnet_lab.data.order import EvalOrder, Loader, TrainLoader, TrainOrder
from resnet_lab.data.small.memory import Augmentation, CropReader, Normalisation, WholeReader

DEVICE = torch.device("meta")
NORMALISE = Normalisation(torch.zeros(6, 6, 3, device=DEVICE), torch.ones(3, device=DEVICE))


def test_small_images_send_the_order_of_an_epoch_once_and_nothing_in_a_step() -> None:
    images, labels = (
        torch.empty(40, 6, 6, 3, dtype=torch.uint8, device=DEVICE),
        torch.empty(40, device=DEVICE),
    )
    order = TrainOrder(40, 8, drop_last=False, seed=0)
    choices = Augmentation(pad=1, flip=True, cutout=2)
    batches = iter(TrainLoader(order, CropReader(images, labels, NORMALISE, choices, seed=0)))
    with Dispatched() as first:
        next(batches)
    assert first.crossings()  # the order, and what is drawn for each image
    with Dispatched() as others:
        assert len(list(batches)) == 4
    assert others.crossings() == []
    assert {device for _, devices, _ in others.calls for device in devices} == {"meta"}


def test_small_images_are_tested_without_a_copy_in_a_step() -> None:
    images, labels = (
        torch.empty(40, 6, 6, 3, dtype=torch.uint8, device=DEVICE),
        torch.empty(40, device=DEVICE),
    )
    with Dispatched() as seen:
        assert len(list(Loader(EvalOrder(40, 8), WholeReader(images, labels, NORMALISE)))) == 5
    assert seen.crossings() == []


def test_pixels_and_three_numbers_an_image_are_all_that_is_sent_of_a_batch() -> None:
    images = torch.zeros(2, 5, 4, 3, dtype=torch.uint8).permute(0, 3, 1, 2)
    normalised(images, torch.zeros(2, 3), DEVICE)  # the constants go once
    with Dispatched() as seen:
        normalised(images, torch.zeros(2, 3), DEVICE)
    sizes = [
        given[-1].shape for name, devices, (given, _) in seen.calls if len(devices) > 1 and "copy" in name
    ]
    assert sizes == [(2, 3, 5, 4), (2, 3)]


def test_run_that_is_to_use_the_cpu_pins_no_memory_where_there_is_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    data = build(config(make(tmp_path)), batch_size=8, drop_last=False, seed=0)
    assert isinstance(data, DataModule)
    data.setup()
    images, labels = next(iter(data.train_dataloader()))
    assert (images.device.type, labels.device.type) == ("cpu", "cpu")
    assert not images.is_pinned()
