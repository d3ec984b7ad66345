"""The LightningModule: what it learns from, what it counts, what it refuses and what it leaves behind."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import Callback
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import toy_training as toy
from forked import ended, forked
from resnet_lab.data import SmallImagesConfig, build
from resnet_lab.errors import UserError
from resnet_lab.training import Classifier, NonFiniteLoss, classifier
from resnet_lab.training.averaging import MovingAverage
from resnet_lab.training.schedules import learning_rate


def test_errors_and_losses_are_those_of_a_plain_loop() -> None:
    module, trainer = toy.fit(toy.recipe())
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    images, labels = toy.images(40, seed=1)
    module.eval()
    with torch.no_grad():
        scores = module(images)
    assert logged["test/loss"] == pytest.approx(float(F.cross_entropy(scores, labels)), rel=1e-6)
    assert logged["test/error"] == pytest.approx(100 * float((scores.argmax(1) != labels).double().mean()))
    missed = [label not in row.topk(5).indices for row, label in zip(scores, labels, strict=True)]
    assert logged["test/top5_error"] == pytest.approx(100 * sum(missed) / 40)


def test_plain_trainer_names_what_it_evaluates_and_logs_nothing_of_other_sets() -> None:
    """One loader of a set of one's own is val, that of a data module without validation images is test."""
    module = Classifier(toy.net(), toy.recipe(epochs=1), toy.CLASSES)
    loaders = toy.TrainLoader(30, 16), toy.TestLoader(40)
    plain = toy.trainer(module.recipe)
    plain.fit(module, *loaders)
    assert {name for name in plain.callback_metrics if name.endswith("/error")} == {
        "train/error",
        "val/error",
    }
    evaluated = float(plain.callback_metrics["val/error"])
    plain.test(module, loaders[1], verbose=False)
    assert float(plain.callback_metrics["test/error"]) == evaluated

    digits = SmallImagesConfig(name="digits", train_images=64, test_images=32)
    data = build(digits, batch_size=16, drop_last=False, seed=0)
    module = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), toy.recipe(epochs=1), 10)
    plain = toy.trainer(module.recipe)
    plain.fit(module, datamodule=data)
    assert {name for name in plain.callback_metrics if name.endswith("/error")} == {
        "train/error",
        "test/error",
    }


def test_more_loaders_than_names_are_refused() -> None:
    module = Classifier(toy.net(), toy.recipe(epochs=1), toy.CLASSES, ("val",))
    with pytest.raises(UserError, match="2 validation loaders, but eval_names are val"):
        toy.trainer(module.recipe).fit(
            module, toy.TrainLoader(30, 16), [toy.TestLoader(8), toy.TestLoader(8)]
        )


def test_steps_are_those_of_a_plain_pytorch_loop() -> None:
    """The same net, trained by hand: SGD on the mean loss of each batch, metrics summed as it runs."""
    recipe = toy.recipe(schedule="cosine", weight_decay=0.01)
    module, trainer = toy.fit(recipe)
    net, loader = toy.net(), toy.TrainLoader(90, 16)
    optimizer = torch.optim.SGD(net.parameters(), momentum=0.9, weight_decay=0.01)
    iteration, losses, wrong = 0, 0.0, 0
    for epoch in range(3):
        loader.set_epoch(epoch)
        losses, wrong = 0.0, 0
        for images, labels in loader:
            optimizer.param_groups[0]["lr"] = learning_rate(iteration, recipe, 18)
            scores = net(images)
            loss = F.cross_entropy(scores, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses += float(loss.detach()) * len(labels)
            wrong += int((scores.argmax(1) != labels).sum())
            iteration += 1
    torch.testing.assert_close(toy.weights(module.backbone), toy.weights(net), rtol=1e-4, atol=1e-6)
    assert float(trainer.callback_metrics["train/loss"]) == pytest.approx(losses / 90, rel=1e-5)
    assert float(trainer.callback_metrics["train/error"]) == pytest.approx(100 * wrong / 90)


def test_accumulated_batches_take_the_step_of_one_batch() -> None:
    """Also at an epoch's end, where fewer batches than usual are left to accumulate."""
    wide, _ = toy.fit(toy.recipe(batch_size=32), backbone=toy.net(batch_norm=False), train_images=80)
    narrow, trainer = toy.fit(
        toy.recipe(batch_size=32, accumulate=2), backbone=toy.net(batch_norm=False), train_images=80
    )
    assert trainer.global_step == 3 * 3
    torch.testing.assert_close(toy.weights(narrow), toy.weights(wide), rtol=1e-5, atol=1e-6)


def test_gradients_are_clipped_at_the_norm_of_the_recipe() -> None:
    free, _ = toy.fit(toy.recipe(epochs=1, momentum=0.0, weight_decay=0.0), train_images=16)
    clipped, _ = toy.fit(toy.recipe(epochs=1, momentum=0.0, weight_decay=0.0, clip=0.01), train_images=16)

    def moved(module: Classifier) -> float:
        pairs = zip(module.backbone.parameters(), toy.net().parameters(), strict=True)
        return float(sum((after - before).detach().square().sum() for after, before in pairs)) ** 0.5

    assert moved(clipped) == pytest.approx(0.1 * 0.01, rel=1e-3)
    assert moved(free) > 10 * moved(clipped)


def test_run_counted_in_iterations_ends_there_and_its_partial_epoch_is_evaluated() -> None:
    evaluated: list[int] = []

    class Watch(Callback):
        def on_validation_end(self, trainer: Any, *_: Any) -> None:
            evaluated.append(trainer.global_step)

    _, trainer = toy.fit(toy.recipe(iterations=8), Watch())  # 6 steps an epoch
    assert trainer.global_step == 8
    assert evaluated == [6, 8]


@pytest.mark.parametrize("length", [{"epochs": 2}, {"iterations": 8}])
def test_finished_run_resumed_trains_no_more(length: dict[str, int], tmp_path: Path) -> None:
    """Killed between its last checkpoint and the end: what is tested is still the average."""
    save = toy.Save(tmp_path / "last.ckpt", every=99)
    module, _ = toy.fit(toy.recipe(**length, ema=0.5), MovingAverage(0.5), save)
    again, trainer = toy.fit(
        toy.recipe(**length, ema=0.5), MovingAverage(0.5), checkpoint=tmp_path / "last.ckpt"
    )
    assert trainer.global_step == (8 if "iterations" in length else 12)
    assert torch.equal(toy.weights(again), toy.weights(module))


def test_checkpoint_loads_without_pickled_objects_and_has_the_backbones_own_names(tmp_path: Path) -> None:
    _, trainer = toy.fit(toy.recipe(epochs=1))
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert set(saved["state_dict"]) == {f"backbone.{name}" for name in toy.net().state_dict()}
    assert "hyper_parameters" not in saved


def test_compiling_the_backbone_in_place_keeps_its_names() -> None:
    backbone = toy.net()
    backbone.compile(backend="eager")
    module = Classifier(backbone, toy.recipe(), toy.CLASSES)
    assert not [name for name in module.state_dict() if "_orig_mod" in name]


def test_loss_that_is_not_finite_stops_the_run_before_its_step() -> None:
    backbone = toy.net(batch_norm=False)
    with pytest.raises(NonFiniteLoss) as error:
        toy.fit(toy.recipe(lr=1e18, epochs=20), backbone=backbone)
    assert 1 < error.value.iteration < 10
    assert str(error.value.iteration) in str(error.value)
    assert all(value.isfinite().all() for value in backbone.parameters())


class Peaky(nn.Module):
    """Scores that are wrong only in ways that each metric can tell apart."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        # Class 0 is last, 1 fifth, 5 first, whatever the image is.
        return self.scale * torch.arange(6.0).expand(len(images), 6)


PEAKS = torch.arange(6.0).expand(6, 6)  # its scores of an image of each class


def losses_of_peaky(**choices: Any) -> dict[str, float]:
    """Of one epoch in which it learns nothing to speak of, from an image of each class but the last."""
    recipe = toy.recipe(**choices, epochs=1, lr=1e-9)
    _, trainer = toy.fit(recipe, backbone=Peaky(), train_images=5, test_images=60)
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def test_top1_and_top5_errors_count_the_classes_ranked_first_and_among_five() -> None:
    module = Classifier(Peaky(), toy.recipe(), toy.CLASSES, ("test",))
    metrics = toy.trainer(toy.recipe()).validate(module, toy.TestLoader(60), verbose=False)[0]
    assert metrics["test/error"] == pytest.approx(100 * 5 / 6)
    assert metrics["test/top5_error"] == pytest.approx(100 / 6)


def test_label_smoothing_changes_the_training_loss_and_not_the_tests() -> None:
    found = losses_of_peaky(label_smoothing=0.3)
    plain = F.cross_entropy(PEAKS, torch.arange(6))
    assert found["test/loss"] == pytest.approx(float(plain), rel=1e-6)
    smoothed = F.cross_entropy(PEAKS[:5], torch.arange(5), label_smoothing=0.3)
    assert found["train/loss"] == pytest.approx(float(smoothed), rel=1e-5)


def test_binary_loss_takes_every_class_of_a_mixed_image_as_present(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = F.binary_cross_entropy_with_logits(PEAKS[:5], torch.eye(6)[:5])
    assert losses_of_peaky(loss="binary_cross_entropy")["train/loss"] == pytest.approx(float(alone), rel=1e-5)
    shares = torch.tensor([0.9, 0.1, 0, 0, 0, 0])
    mix = lambda recipe, classes: lambda images, labels: (images, shares.expand(len(labels), 6))  # noqa: E731
    monkeypatch.setattr(classifier, "mixing", mix)
    both = F.binary_cross_entropy_with_logits(PEAKS[:5], (shares > 0).float().expand(5, 6))
    assert losses_of_peaky(loss="binary_cross_entropy")["train/loss"] == pytest.approx(float(both), rel=1e-5)


class Narrow(nn.Module):
    """A strided 1x1 convolution of 8 channels, as in the projections of a narrow net."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.projection = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 16, 1, stride=2, bias=False)
        self.fc = nn.Linear(16, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.projection(self.stem(x)).mean((2, 3)))


def trained_narrow() -> None:
    """Some steps on large images; in channels-last order torch ends the process with "double free"."""
    loader = DataLoader(TensorDataset(torch.randn(4, 3, 112, 112), torch.arange(4)), batch_size=4)
    module = Classifier(Narrow(), toy.recipe(epochs=5, batch_size=4), 6, seed=1)
    toy.trainer(module.recipe).fit(module, loader)


def test_a_narrow_net_trains_on_large_images() -> None:
    assert ended(forked(trained_narrow)) == 0


def test_a_wide_net_keeps_the_order_that_is_quicker() -> None:
    wide = nn.Conv2d(16, 32, 1, stride=2)
    assert Classifier(wide, toy.recipe(), 6).backbone.weight.is_contiguous(memory_format=torch.channels_last)
