"""Averaged weights, and batch norm statistics computed anew."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch import nn

import toy_training as toy
from dispatched import Dispatched
from resnet_lab.training import averaging
from resnet_lab.training.averaging import Average, MovingAverage
from resnet_lab.training.batch_norm import frozen_statistics, recompute


def test_average_follows_its_definition_and_is_what_is_tested_and_kept(tmp_path: Path) -> None:
    steps: list[torch.Tensor] = []

    class Record(Callback):
        def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
            steps.append(module.backbone[9].weight.detach().clone())

    recipe = toy.recipe(epochs=2, ema=0.9)
    module, trainer = toy.fit(
        recipe, Record(), MovingAverage(recipe.ema), toy.Save(tmp_path / "last.ckpt", 99)
    )
    average = steps[0]
    for weight in steps[1:]:
        average = 0.9 * average + 0.1 * weight
    torch.testing.assert_close(module.backbone[9].weight.detach(), average)
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    torch.testing.assert_close(saved["backbone.9.weight"], average)
    logged = trainer.callback_metrics["test/loss"]
    tested = toy.trainer(recipe).validate(module, toy.TestLoader(40), verbose=False)[0]
    assert float(logged) == tested["test/loss"]


def test_ema_is_made_where_the_net_will_train_before_the_net_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`setup` comes before the strategy moves the net; the meta device stands for a GPU."""
    made: list[Average] = []

    class Kept(Average):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.append(self)

    monkeypatch.setattr(averaging, "Average", Kept)
    device = torch.device("meta")
    MovingAverage(0.9).setup(SimpleNamespace(strategy=SimpleNamespace(root_device=device)), toy.net(), "fit")
    assert {value.device for value in made[0].module.state_dict().values()} == {device}


@pytest.mark.parametrize("batch_norm", [True, False])
def test_ema_is_one_operation_a_step_for_which_nothing_waits(batch_norm: bool) -> None:
    """On the meta device, which holds no numbers, whatever looks at one raises."""
    device = torch.device("meta")
    net = toy.net(batch_norm=batch_norm).to(device)
    average = Average(net, 0.9, device)
    average.update_parameters(net)
    with Dispatched() as seen:
        average.update_parameters(net)
    assert seen.on("meta") == {"_foreach_lerp_": 1} | ({"_foreach_copy_": 1} if batch_norm else {})
    assert int(average.n_averaged) == 2


def test_recomputed_statistics_are_the_plain_average_over_the_batches() -> None:
    net = nn.Sequential(nn.BatchNorm2d(1))
    loader = list(toy.TrainLoader(48, 16))
    net(loader[0][0] * 100)  # a past that must be forgotten
    net.eval()
    recompute(net, loader, torch.device("cpu"))
    means = torch.stack([images.mean() for images, _ in loader])
    variances = torch.stack([images.var() for images, _ in loader])
    torch.testing.assert_close(net[0].running_mean, means.mean().reshape(1))
    torch.testing.assert_close(net[0].running_var, variances.mean().reshape(1))
    assert net[0].momentum == 0.1
    assert not net.training


def test_frozen_statistics_see_nothing_and_thaw() -> None:
    net = nn.BatchNorm2d(1)
    images, _ = toy.images(8)
    with frozen_statistics(net, when=True):
        net(images)
    assert float(net.running_mean) == 0.0
    with frozen_statistics(net, when=False):
        net(images)
    assert float(net.running_mean) != 0.0
