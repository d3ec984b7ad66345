"""What a recipe takes of somebody's own by a dotted path, and what each must be.

optimizer: called with parameter groups, lr=… and `recipe.optimizer_args`; gives a torch Optimizer.
schedule: a function of (iterations done, iterations of the run) that gives the factor of the learning rate.
loss: a class, made with `recipe.loss_args`, or a function, called with them; maps scores (N, K) and labels (N,), or
    probabilities (N, K) where the recipe mixes images, to the mean over the batch () or a loss for each image (N,).

Free of torch at import.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from resnet_lab.errors import UserError
from resnet_lab.targets import called, locate
from resnet_lab.training.recipes import RecipeConfig

if TYPE_CHECKING:
    from torch import Tensor

    Loss = Callable[[Tensor, Tensor], Tensor]


def factor(schedule: str, iteration: int, total: int) -> float:
    """What a schedule of one's own gives; UserError where that is no number of 0 or more."""
    found = locate(schedule, "recipe.schedule")(iteration, total)
    if not isinstance(found, int | float) or not math.isfinite(found) or found < 0:
        raise UserError(
            f"recipe.schedule={schedule} gives {found!r} at iteration {iteration}: 0 or more is needed"
        )
    return float(found)


def loss(recipe: RecipeConfig) -> "Loss":
    """A loss of one's own, summed over the batch. Raises UserError where it cannot be made."""
    from torch import nn

    what = f"recipe.loss={recipe.loss}"
    target = locate(recipe.loss, "recipe.loss")
    if isinstance(target, type):
        criterion = called(what, target, **recipe.loss_args)
        if isinstance(criterion, nn.Module) and any(True for _ in criterion.parameters()):
            raise UserError(f"{what} has parameters of its own, which no optimiser would train")
    else:
        criterion = partial(target, **recipe.loss_args)

    def summed(scores: "Tensor", targets: "Tensor") -> "Tensor":
        if isinstance(criterion, nn.Module):
            # Its buffers, as the weights of classes; once they are there it costs nothing.
            criterion.to(scores.device)
        found = criterion(scores, targets)
        if found.shape == ():
            return found * len(scores)
        if found.shape == (len(scores),):
            return found.sum()
        raise UserError(
            f"{what} gives {tuple(found.shape)}: the mean () or a loss for each image ({len(scores)},)"
        )

    return summed
