"""Mixup and CutMix, and randomness that depends on the place in a run alone."""

import pytest
import torch

import toy_training as toy
from resnet_lab.training.mixing import mixing, seed_device

CPU = torch.device("cpu")


def test_no_mixing_is_none() -> None:
    assert mixing(toy.recipe(), toy.CLASSES) is None


def test_mixed_targets_tell_the_share_of_each_image() -> None:
    images = torch.arange(4.0).reshape(4, 1, 1, 1).expand(4, 1, 8, 8)
    labels = torch.arange(4)
    for choice in ({"mixup": 1.0}, {"cutmix": 1.0}):
        mix = mixing(toy.recipe(**choice), 4)
        assert mix is not None
        seed_device(CPU, 1)
        mixed, targets = mix(images.clone(), labels)
        assert targets.shape == (4, 4)
        # An image is its own class's number everywhere, so its mean is the mean class of its target.
        torch.testing.assert_close(mixed.mean((1, 2, 3)), targets @ torch.arange(4.0), rtol=1e-5, atol=1e-5)
        assert ((targets > 0) & (targets < 1)).any()


@pytest.mark.parametrize("choice", [{"mixup": 1.0}, {"cutmix": 1.0}])
def test_net_gets_mixed_images_channels_last(choice: dict[str, float]) -> None:
    seen: list[bool] = []
    net = toy.net()
    net.register_forward_pre_hook(
        lambda net, given: seen.append(given[0].is_contiguous(memory_format=torch.channels_last))
    )
    toy.fit(toy.recipe(epochs=1, **choice), backbone=net, train_images=16)
    assert seen[0]


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_each_kind_of_device_is_seeded_by_the_key(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []
    monkeypatch.setattr(getattr(torch, device), "manual_seed", seeds.append)
    for key in ((0, 3, 5), (0, 3, 6), (0, 3, 5)):
        seed_device(torch.device(device), *key)
    assert seeds[0] == seeds[2] != seeds[1]


def test_draws_depend_on_the_key_alone() -> None:
    seed_device(CPU, 0, 3, 5)
    first = torch.rand(4)
    torch.rand(100)
    seed_device(CPU, 0, 3, 5)
    assert torch.equal(torch.rand(4), first)
    for other in ((1, 3, 5), (0, 4, 5), (0, 3, 6), (0, 35), (0, 3, 5, 0)):
        seed_device(CPU, *other)
        assert not torch.equal(torch.rand(4), first), other


def test_seed_zero_is_a_seed() -> None:
    recipe = toy.recipe(epochs=1)
    runs = []
    for noise in (1, 2):
        torch.manual_seed(noise)
        runs.append(toy.fit(recipe, backbone=toy.net(dropout=0.5), seed=0)[0])
        other = toy.fit(recipe, backbone=toy.net(dropout=0.5), seed=3)[0]
    assert torch.equal(toy.weights(runs[0]), toy.weights(runs[1]))
    assert not torch.equal(toy.weights(runs[0]), toy.weights(other))
