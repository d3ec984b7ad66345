"""Optimisers, losses and schedules of somebody's own, by a dotted path."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import toy_training as toy
from resnet_lab.errors import UserError
from resnet_lab.training import optimizers
from resnet_lab.training.criterion import Criterion
from resnet_lab.training.schedules import learning_rate
from resnet_lab.training.trial import try_out

CODE = """
import math, torch
def halves(iteration, total): return 0.5 ** (3 * iteration // total)
def below(iteration, total): return -1
def nothing(scores, targets): return scores
def each(scores, targets, power=1): return torch.nn.functional.cross_entropy(scores, targets, reduction="none") ** power
class Trained(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.projection = torch.nn.Linear(6, 6)
    def forward(self, scores, targets):
        return torch.nn.functional.cross_entropy(self.projection(scores), targets)
class Taught(torch.nn.Module):
    def __init__(self, again=False):
        super().__init__()
        self.again = again
        self.teacher = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.BatchNorm1d(64), torch.nn.Linear(64, 6))
        self.teacher.requires_grad_(False)
    def forward(self, scores, targets, net, images):
        assert not self.teacher.training and net.training
        if self.again:
            net(images + 100)
        return torch.nn.functional.kl_div(scores.log_softmax(1), self.teacher(images).softmax(1), reduction="batchmean")
def no_optimizer(groups, lr): return 7
"""


@pytest.fixture(autouse=True)
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "own_parts.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("own_parts", None)


def test_an_optimizer_of_ones_own_gets_the_groups_the_rate_and_its_arguments() -> None:
    recipe = toy.recipe(
        optimizer="torch.optim.RAdam",
        optimizer_args={"betas": [0.8, 0.9]},
        lr=0.03,
        weight_decay_scope="conv",
    )
    made = optimizers.build(recipe, toy.net())
    assert isinstance(made, torch.optim.RAdam)
    assert [group["weight_decay"] for group in made.param_groups] == [recipe.weight_decay, 0.0]
    assert tuple(made.param_groups[0]["betas"]) == (0.8, 0.9)
    assert made.param_groups[0]["lr"] == 0.03


def test_betas_of_adamw_can_be_set() -> None:
    made = optimizers.build(toy.recipe(optimizer="adamw", optimizer_args={"betas": [0.8, 0.9]}), toy.net())
    assert tuple(made.param_groups[0]["betas"]) == (0.8, 0.9)


def test_layers_can_learn_at_rates_of_their_own() -> None:
    recipe = toy.recipe(lr_scale={"0.*": 0.1, "9.*": 0.0}, epochs=1, schedule="constant", lr=0.1)
    before = {name: value.clone() for name, value in toy.net().named_parameters()}
    module, trainer = toy.fit(recipe)
    assert sorted({round(group["lr"], 6) for group in trainer.optimizers[0].param_groups}) == [0.0, 0.01, 0.1]
    after = dict(module.backbone.named_parameters())
    assert torch.equal(after["9.weight"], before["9.weight"])
    assert not torch.equal(after["0.weight"], before["0.weight"])


def test_a_pattern_that_fits_no_parameter_names_the_nearest() -> None:
    with pytest.raises(UserError, match=r"no parameter is named '9\.weihgt'; did you mean '9\.weight'"):
        optimizers.build(toy.recipe(lr_scale={"9.weihgt": 0.1}), toy.net())


@pytest.mark.parametrize(
    "choices",
    [
        {"loss": "torch.nn.CrossEntropyLoss"},
        {"loss": "own_parts.each"},
        {"loss": "torch.nn.functional.cross_entropy"},
    ],
)
def test_a_mean_and_a_loss_for_each_image_train_as_the_built_in_loss_does(choices: dict[str, Any]) -> None:
    expected, _ = toy.fit(toy.recipe(epochs=1))
    found, _ = toy.fit(toy.recipe(epochs=1, **choices))
    for ours, theirs in zip(found.backbone.parameters(), expected.backbone.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_loss_takes_its_arguments() -> None:
    scores, labels = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    smooth = Criterion(toy.recipe(loss="torch.nn.CrossEntropyLoss", loss_args={"label_smoothing": 0.2}))
    expected = nn.functional.cross_entropy(scores, labels, label_smoothing=0.2)
    torch.testing.assert_close(smooth(scores, labels, scores, nn.Identity()), expected)


def test_parameters_of_a_loss_are_trained_and_kept(tmp_path: Path) -> None:
    recipe = toy.recipe(loss="own_parts.Trained")
    whole, _ = toy.fit(recipe)
    fresh = Criterion(recipe)
    assert not torch.equal(whole.criterion.loss.projection.weight, fresh.loss.projection.weight)
    saved = toy.Save(tmp_path / "last.ckpt", every=4)
    torch.manual_seed(0)
    expected, _ = toy.fit(recipe)
    torch.manual_seed(0)
    with pytest.raises(toy.Killed):
        toy.fit(recipe, saved, toy.KillAt(9))
    resumed, _ = toy.fit(recipe, saved, checkpoint=saved.path)
    assert torch.equal(toy.weights(resumed), toy.weights(expected))


def test_teacher_of_a_loss_is_neither_trained_nor_kept_and_rests_as_in_a_test(tmp_path: Path) -> None:
    recipe = toy.recipe(loss="own_parts.Taught", epochs=1)
    save = toy.Save(tmp_path / "last.ckpt", every=4)
    module, trainer = toy.fit(recipe, save)
    saved = torch.load(save.path, weights_only=True)["state_dict"]
    assert set(saved) == {f"backbone.{name}" for name in toy.net().state_dict()}
    trained = {id(each) for group in trainer.optimizers[0].param_groups for each in group["params"]}
    assert trained == {id(each) for each in module.backbone.parameters()}
    toy.fit(recipe, checkpoint=save.path)  # loads without it


def test_passes_of_a_loss_leave_no_trace_in_the_statistics() -> None:
    statistics = []
    for again in (False, True):
        torch.manual_seed(3)
        module, _ = toy.fit(
            toy.recipe(loss="own_parts.Taught", loss_args={"again": again}, lr=1e-9, epochs=1)
        )
        statistics.append(torch.cat([module.backbone[1].running_mean, module.backbone[1].running_var]))
    torch.testing.assert_close(*statistics)


def test_a_schedule_of_ones_own_scales_the_rate_after_the_warm_up() -> None:
    recipe = toy.recipe(schedule="own_parts.halves", lr=0.8, warmup_iterations=2, warmup_lr=0.1)
    assert [learning_rate(i, recipe, 9) for i in (0, 1, 2, 3, 6)] == [0.1, 0.1, 0.8, 0.4, 0.2]


MISTAKES = {
    "optimizer that is none": (
        {"optimizer": "own_parts.no_optimizer"},
        "returns int, not an Optimizer",
    ),
    "argument of no optimizer": ({"optimizer_args": {"beta": 1}}, "unexpected keyword argument 'beta'"),
    "value an optimizer refuses": (
        {"optimizer": "adamw", "optimizer_args": {"betas": [2, 3]}},
        "Invalid beta",
    ),
    "optimizer that is not there": ({"optimizer": "torch.optim.Adan"}, "torch.optim has no 'Adan'"),
    "loss that gives scores": ({"loss": "own_parts.nothing"}, "gives (2, 6)"),
    "argument of no loss": (
        {"loss": "torch.nn.CrossEntropyLoss", "loss_args": {"x": 1}},
        "unexpected keyword",
    ),
    "schedule below 0": ({"schedule": "own_parts.below"}, "gives -1 at iteration 0"),
    "schedule of other arguments": ({"schedule": "math.sqrt"}, "recipe.schedule=math.sqrt"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_on_trial_in_one_line(mistake: str) -> None:
    choices, told = MISTAKES[mistake]
    with pytest.raises(UserError) as error:
        try_out(toy.recipe(**choices), toy.CLASSES)
    assert told in str(error.value)
    assert "\n" not in str(error.value)
