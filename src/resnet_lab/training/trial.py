"""The user's parts, made and called once on two images: a mistake is reported before there is a run."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from resnet_lab.targets import called, locate
from resnet_lab.training import optimizers, own
from resnet_lab.training.classifier import Classifier
from resnet_lab.training.criterion import Criterion, summed
from resnet_lab.training.module import build, tests_itself
from resnet_lab.training.recipes import RecipeConfig


def try_out(recipe: RecipeConfig, classes: int) -> None:
    """Raise UserError for an optimiser, a loss or a schedule that cannot be made or gives something else."""
    net = nn.Linear(2, classes)
    called(f"recipe.optimizer={recipe.optimizer}", optimizers.build, replace(recipe, lr_scale={}), net)
    if "." in recipe.loss:
        what = f"recipe.loss={recipe.loss}"
        criterion = called(what, Criterion, recipe)
        if not criterion.also:  # else it is tried with the net and images of the run
            labels = torch.tensor([0, classes - 1])
            mixed = bool(recipe.mixup or recipe.cutmix)
            targets = nn.functional.one_hot(labels, classes).float() if mixed else labels
            images = torch.ones(2, 2)
            called(what, lambda: summed(criterion(net(images), targets, images, net), 2, what))
    if "." in recipe.schedule:
        total = recipe.iterations or 1000
        for iteration in (0, total - 1):
            called(f"recipe.schedule={recipe.schedule}", own.factor, recipe.schedule, iteration, total)


def try_module(
    target: str,
    args: Mapping[str, Any],
    recipe: RecipeConfig,
    net: Callable[[], nn.Module],
    shape: tuple[int, int, int],
    classes: int,
) -> None:
    """Raise UserError for a module that cannot be made, and for a Classifier's loss that gives something else.

    The same parts are tried once, `net` makes the net of the run without its weights.
    """
    found = [
        locate(each, key)
        for key, each in (("module._target_", target), ("recipe.loss", recipe.loss))
        if "." in each
    ]
    key = repr((found, args, recipe.loss_args, recipe.mixup, recipe.cutmix, shape, classes))
    if key in _TRIED:
        return
    with torch.random.fork_rng(devices=[]):
        module = build(target, args, net(), recipe, classes, seed=0)
        if not tests_itself(module) and isinstance(module, Classifier):
            labels = torch.tensor([0, classes - 1])
            mixed = bool(recipe.mixup or recipe.cutmix)
            targets = nn.functional.one_hot(labels, classes).float() if mixed else labels
            images = torch.rand(2, *shape)
            loss, _ = called(module.loss_name, module.train().training_loss, images, targets)
            summed(loss, len(images), module.loss_name)
    _TRIED.add(key)


_TRIED: set[str] = set()
