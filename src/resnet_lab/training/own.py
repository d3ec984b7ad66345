"""What a recipe takes of somebody's own by a dotted path, and what each must be.

optimizer: called with parameter groups, lr=… and `recipe.optimizer_args`; gives a torch Optimizer.
schedule: a function of (iterations done, iterations of the run) that gives the factor of the learning rate.
loss: a class, made with `recipe.loss_args`, or a function, called with them; maps scores (N, K) and labels (N,), or
    probabilities (N, K) where the recipe mixes images, to the mean over the batch () or a loss for each image (N,).

Free of torch at import.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from resnet_lab.errors import UserError
from resnet_lab.targets import locate
from resnet_lab.training.recipes import RecipeConfig

if TYPE_CHECKING:
    from torch import Tensor

    Loss = Callable[[Tensor, Tensor], Tensor]

located = cache(locate)


def called(target: Callable[..., Any], what: str, /, *arguments: Any, **named: Any) -> Any:
    """The target's result; arguments that it does not take are a UserError, which begins with `what`."""
    try:
        return target(*arguments, **named)
    except UserError:
        raise
    except (TypeError, ValueError) as error:
        raise UserError(f"{what}: {' '.join(str(error).split())}") from error


def tried(what: str, target: Callable[..., Any], /, *arguments: Any, **named: Any) -> Any:
    """The same where nothing is trained yet: whatever the code of somebody's own raises is a UserError."""
    try:
        return called(target, what, *arguments, **named)
    except (UserError, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{what} fails: {type(error).__name__}: {reason}") from error


def made(spec: Any, key: str, filled: Mapping[str, Any] | None = None) -> Any:
    """What ``{_target_: a.dotted.Path, argument: value}`` stands for, its arguments of that form too.

    Of `filled` it gets what it takes and `spec` leaves out. Raises UserError, which names the configuration's `key`,
    for what has no target or cannot be made.
    """
    if not isinstance(spec, Mapping) or not isinstance(spec.get("_target_"), str):
        raise UserError(f"{key}={spec}: {{_target_: a.dotted.Path, argument: value}} is needed")
    path = spec["_target_"]
    target = located(path, f"{key}._target_")
    given = {
        name: made(value, f"{key}.{name}") if isinstance(value, Mapping) and "_target_" in value else value
        for name, value in spec.items()
        if name != "_target_"
    }
    takes = inspect.signature(target).parameters if filled and callable(target) else {}
    usual = {name: value for name, value in (filled or {}).items() if name in takes}
    return tried(f"{key} ({path})", target, **{**usual, **given})


def factor(schedule: str, iteration: int, total: int) -> float:
    """What a schedule of one's own gives; UserError where that is no number of 0 or more."""
    found = called(located(schedule, "recipe.schedule"), f"recipe.schedule={schedule}", iteration, total)
    if not isinstance(found, int | float) or not math.isfinite(found) or found < 0:
        raise UserError(
            f"recipe.schedule={schedule} gives {found!r} at iteration {iteration}: 0 or more is needed"
        )
    return float(found)


def loss(recipe: RecipeConfig) -> "Loss":
    """A loss of one's own, summed over the batch. Raises UserError where it cannot be made."""
    from torch import nn

    what = f"recipe.loss={recipe.loss}"
    target = located(recipe.loss, "recipe.loss")
    if isinstance(target, type):
        criterion = called(target, what, **recipe.loss_args)
        if isinstance(criterion, nn.Module) and any(True for _ in criterion.parameters()):
            raise UserError(f"{what} has parameters of its own, which no optimiser would train")
    else:
        criterion = partial(target, **recipe.loss_args)

    def summed(scores: "Tensor", targets: "Tensor") -> "Tensor":
        if isinstance(criterion, nn.Module):
            criterion.to(
                scores.device
            )  # its buffers, as the weights of classes; once they are there it costs nothing
        found = called(criterion, what, scores, targets)
        if found.shape == ():
            return found * len(scores)
        if found.shape == (len(scores),):
            return found.sum()
        raise UserError(
            f"{what} gives {tuple(found.shape)}: the mean () or a loss for each image ({len(scores)},)"
        )

    return summed
