"""A recipe's own parts, made and called once on two images: a mistake is told before there is a run."""

from dataclasses import replace

import torch
from torch import nn

from resnet_lab.targets import called
from resnet_lab.training import optimizers, own
from resnet_lab.training.criterion import Criterion, summed
from resnet_lab.training.recipes import RecipeConfig


def try_out(recipe: RecipeConfig, classes: int) -> None:
    """Raises UserError for an optimiser, a loss or a schedule that cannot be made or gives something else."""
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
