"""Crops, flips and normalisation on the device, against slices of one image at a time."""

import pytest
import torch
from torch import Tensor

from resnet_lab.data.order import EvalOrder, Loader, TrainLoader, TrainOrder
from resnet_lab.data.small.memory import (
    Augmentation,
    CropReader,
    Normalisation,
    RandomCrops,
    WholeReader,
    normalisation,
)
from resnet_lab.data.spec import SmallImagesConfig

HEIGHT, WIDTH = 7, 6


@pytest.fixture(params=[1, 3], ids=["grey", "colour"])
def images(request: pytest.FixtureRequest) -> Tensor:
    random = torch.Generator().manual_seed(0)
    shape = (40, HEIGHT, WIDTH, request.param)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=random)


def normalise_by(images: Tensor, mean: str = "pixel", divide: bool = True) -> Normalisation:
    return normalisation(images, SmallImagesConfig(mean=mean, divide_by_std=divide))


def by_hand(image: Tensor, normalise: Normalisation, pad: int, drawn: list[int]) -> Tensor:
    """One image (H, W, C) normalised, padded with zeros, cropped and mirrored: (C, H, W)."""
    top, left, mirrored = drawn[:3]
    pixels = (image.double() / 255 - normalise.mean) / normalise.std
    padded = torch.zeros(HEIGHT + 2 * pad, WIDTH + 2 * pad, image.shape[2], dtype=torch.double)
    padded[pad : pad + HEIGHT, pad : pad + WIDTH] = pixels
    crop = padded[top : top + HEIGHT, left : left + WIDTH]
    return (crop.flip(1) if mirrored else crop).permute(2, 0, 1).float()


@pytest.mark.parametrize(("pad", "flip"), [(4, True), (1, False), (0, True), (0, False)])
def test_a_batch_is_what_slices_of_each_image_give(images: Tensor, pad: int, flip: bool) -> None:
    normalise, augmentation = normalise_by(images), Augmentation(pad, flip)
    drawn = augmentation.draw(len(images), HEIGHT, WIDTH, seed=0, epoch=0)
    index = torch.randperm(len(images))
    batch = RandomCrops(images, normalise, augmentation)(index, drawn[index])
    for place, image in enumerate(index.tolist()):
        expected = by_hand(images[image], normalise, pad, drawn[image].tolist())
        torch.testing.assert_close(batch[place], expected, atol=1e-5, rtol=0)
    assert batch.is_contiguous(memory_format=torch.channels_last)


def test_padding_4_has_nine_offsets_each_way_and_half_of_the_images_are_mirrored() -> None:
    drawn = Augmentation(4, flip=True).draw(20_000, 32, 32, seed=0, epoch=0)
    for axis in (0, 1):
        counts = drawn[:, axis].long().bincount()
        assert len(counts) == 9
        assert counts.min() > 20_000 / 9 * 0.9
    assert abs(drawn[:, 2].float().mean() - 0.5) < 0.02
    assert not Augmentation(4, flip=False).draw(1000, 32, 32, seed=0, epoch=0)[:, 2].any()


def test_cutout_blanks_one_square_that_the_edges_may_cut(images: Tensor) -> None:
    augmentation = Augmentation(cutout=3)
    drawn = augmentation.draw(len(images), HEIGHT, WIDTH, seed=0, epoch=0)
    index = torch.arange(len(images))
    normalise = Normalisation(torch.full(images.shape[1:], -1.0), torch.ones(images.shape[3]))  # never 0
    blank = (RandomCrops(images, normalise, augmentation)(index, drawn) == 0).all(1)
    for hole, (row, column) in zip(blank, drawn[:, 3:].tolist(), strict=True):
        expected = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
        expected[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] = True
        assert torch.equal(hole, expected)


def test_the_per_pixel_mean_makes_every_pixel_zero_on_average(images: Tensor) -> None:
    normalise = normalise_by(images, "pixel", divide=False)
    assert normalise.std.tolist() == [1.0] * images.shape[3]
    normalised = normalise(images)
    torch.testing.assert_close(normalised.mean(0), torch.zeros_like(normalised[0]), atol=1e-5, rtol=0)


def test_the_per_channel_mean_and_deviation_standardise_each_channel(images: Tensor) -> None:
    normalised = normalise_by(images, "channel")(images)
    assert normalised.mean((0, 2, 3)).abs().max() < 1e-5
    torch.testing.assert_close(normalised.std((0, 2, 3), unbiased=False), torch.ones(images.shape[3]))


def loader(images: Tensor, rank: int = 0, world: int = 1) -> TrainLoader:
    order = TrainOrder(len(images), 16, drop_last=False, seed=0, rank=rank, world=world)
    choices = Augmentation(2, flip=True, cutout=2)
    labels = torch.arange(len(images))
    return TrainLoader(order, CropReader(images, labels, normalise_by(images), choices, seed=0))


def test_an_image_looks_the_same_on_any_number_of_devices(images: Tensor) -> None:
    def seen(world: int) -> dict[int, Tensor]:
        return {
            label: image
            for rank in range(world)
            for batch, labels in loader(images, rank, world)
            for label, image in zip(labels.tolist(), batch, strict=True)
        }

    alone = seen(1)
    assert sorted(alone) == list(range(len(images)))
    for world in (2, 3):
        shared = seen(world)
        assert shared.keys() == alone.keys()
        assert all(torch.equal(image, alone[label]) for label, image in shared.items())


def test_the_next_epoch_draws_anew(images: Tensor) -> None:
    first, second = loader(images), loader(images)
    second.set_epoch(1)
    assert not torch.equal(next(iter(first))[0], next(iter(second))[0])


def test_test_images_are_normalised_and_nothing_else(images: Tensor) -> None:
    normalise = normalise_by(images)
    batches = list(
        Loader(EvalOrder(len(images), 16), WholeReader(images, torch.arange(len(images)), normalise))
    )
    assert torch.cat([labels for _, labels in batches]).tolist() == list(range(len(images)))
    together = torch.cat([batch for batch, _ in batches])
    for image, seen in zip(images, together, strict=True):
        torch.testing.assert_close(seen, by_hand(image, normalise, 0, [0, 0, 0]), atol=1e-5, rtol=0)
