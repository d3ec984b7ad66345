"""Optimisers: which parameters decay, and that each one trains."""

import sys

import pytest
import torch
from torch import nn

import toy_training as toy
from resnet_lab.errors import UserError
from resnet_lab.training import optimizers


def names(group: dict[str, list[nn.Parameter]], net: nn.Module) -> list[str]:
    return [name for name, value in net.named_parameters() if any(value is p for p in group["params"])]


DECAYED = {
    "all": ["0.weight", "1.weight", "1.bias", "3.weight", "4.weight", "4.bias", "9.weight", "9.bias"],
    "weights": ["0.weight", "3.weight", "9.weight"],
    "conv": ["0.weight", "3.weight"],
}


@pytest.mark.parametrize("scope", DECAYED)
def test_weight_decay_covers_what_its_scope_says_and_every_parameter_is_trained(scope: str) -> None:
    net = toy.net()
    groups = optimizers.build(toy.recipe(weight_decay=0.01, weight_decay_scope=scope), net).param_groups
    assert names(groups[0], net) == DECAYED[scope]
    assert [group["weight_decay"] for group in groups] == [0.01, 0.0][: len(groups)]
    assert sum(len(group["params"]) for group in groups) == len(list(net.parameters()))


def test_frozen_parameters_are_left_out() -> None:
    net = toy.net()
    net[0].weight.requires_grad_(False)
    groups = optimizers.build(toy.recipe(weight_decay_scope="conv"), net).param_groups
    assert names(groups[0], net) == ["3.weight"]


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "lars", "lamb"])
@pytest.mark.parametrize("sam", [0.0, 0.05])
def test_every_optimizer_learns_the_toy(optimizer: str, sam: float) -> None:
    if sam or optimizer in ("lars", "lamb"):
        pytest.importorskip("pytorch_optimizer")
    lr = {"sgd": 0.1, "adamw": 0.01, "lars": 20.0, "lamb": 0.02}[optimizer]
    recipe = toy.recipe(optimizer=optimizer, sam=sam, lr=lr, epochs=8, weight_decay_scope="weights")
    _, trainer = toy.fit(recipe)
    assert float(trainer.callback_metrics["train/error"]) < 50  # chance: 83


def test_sharpness_aware_step_is_that_of_its_definition() -> None:
    """2010.01412, eq. 2 and 4: the gradient at w + rho g/|g|, applied at w; each image counted once."""
    pytest.importorskip("pytorch_optimizer")
    recipe = toy.recipe(sam=0.1, epochs=1, momentum=0.0, weight_decay=0.0, lr=0.1)
    module, trainer = toy.fit(recipe, train_images=16)
    net, (images, labels) = toy.net(), next(iter(toy.TrainLoader(16, 16)))
    weights = list(net.parameters())

    def gradients() -> list[torch.Tensor]:
        loss = nn.functional.cross_entropy(net(images), labels)
        return list(torch.autograd.grad(loss, weights))

    first = gradients()
    seen = {name: value.clone() for name, value in net.named_buffers()}  # statistics of the first pass alone
    norm = torch.stack([g.norm() for g in first]).norm()
    with torch.no_grad():
        for weight, gradient in zip(weights, first, strict=True):
            weight += 0.1 * gradient / norm
    second = gradients()
    with torch.no_grad():
        for weight, up, down in zip(weights, first, second, strict=True):
            weight -= 0.1 * up / norm + 0.1 * down
    for found, expected in zip(module.backbone.parameters(), weights, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    for name, statistic in module.backbone.named_buffers():
        if statistic.is_floating_point():
            torch.testing.assert_close(statistic, seen[name])
    module.on_save_checkpoint(kept := {})
    assert kept["train_sums"]["images"] == 16
    loss = float(nn.functional.cross_entropy(toy.net()(images), labels).detach())
    assert float(trainer.callback_metrics["train/loss"]) == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("choice", [{"optimizer": "lars"}, {"optimizer": "lamb"}, {"sam": 0.1}])
def test_missing_library_is_named_with_its_extra(
    choice: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_optimizer", None)
    with pytest.raises(UserError, match=r"pip install 'resnet-lab\[optim\]'"):
        optimizers.build(toy.recipe(**choice), toy.net())


@pytest.mark.parametrize(
    ("devices", "scaled", "sharded", "fused"),
    [
        ({"cpu"}, False, False, True),
        ({"cuda"}, False, False, True),
        ({"cuda"}, True, False, False),  # fp16: Lightning would neither unscale nor clip
        ({"cuda"}, False, True, False),
        ({"cpu"}, False, True, False),
        ({"mps"}, False, False, False),
        ({"cpu", "cuda"}, False, False, False),
    ],
)
def test_one_kernel_does_a_step_where_lightning_allows_it(
    devices: set[str], scaled: bool, sharded: bool, fused: bool
) -> None:
    assert optimizers.may_fuse(devices, scaled=scaled, sharded=sharded) is fused
