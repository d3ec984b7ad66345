"""The user's optimisers, schedules and losses, given by dotted path, and what each must look like.

optimizer: called with parameter groups, lr=… and `recipe.optimizer_args`; gives a torch Optimizer.
schedule: a function of (iterations done, iterations of the run) that gives the factor of the learning rate.
loss: a class, made with `recipe.loss_args`, or a function, called with them; maps scores (N, K) and labels (N,), or
    probabilities (N, K) where the recipe mixes images, to the mean over the batch () or a loss for each image (N,). If
    it names `images` or `net` among its further arguments, it is given them (training/criterion.py).

Free of torch.
"""

import math

from resnet_lab.errors import UserError
from resnet_lab.targets import locate


def factor(schedule: str, iteration: int, total: int) -> float:
    """Return what the user's schedule gives; UserError where that is no number of 0 or more."""
    found = locate(schedule, "recipe.schedule")(iteration, total)
    if not isinstance(found, int | float) or not math.isfinite(found) or found < 0:
        raise UserError(
            f"recipe.schedule={schedule} gives {found!r} at iteration {iteration}: 0 or more is needed"
        )
    return float(found)
