"""The learning rate as a pure function of the iteration, so that resuming needs no state. Free of torch."""

import math

from resnet_lab.training.own import factor
from resnet_lab.training.recipes import RecipeConfig, peak_lr

# Where a one-cycle run starts and ends, relative to its peak (Smith and Topin, 1708.07120; torch's defaults).
CYCLE_START, CYCLE_END = 1 / 25, 1 / 250_000


def learning_rate(iteration: int, recipe: RecipeConfig, total_iterations: int) -> float:
    """Return the rate of one optimiser step; `iteration` counts the steps done before it, from 0."""
    peak = peak_lr(recipe)
    warmup = recipe.warmup_iterations
    if iteration < warmup:
        if recipe.warmup_shape == "constant":
            return recipe.warmup_lr
        return _linear(recipe.warmup_lr, peak, iteration / warmup)
    match recipe.schedule:
        case "constant":
            return peak
        case "step":
            # In epochs, an iteration is a part of one: the drops hold whatever the batch size is.
            unit = total_iterations / (recipe.iterations or recipe.epochs or total_iterations)
            return peak * recipe.drop_factor ** sum(iteration >= drop * unit for drop in recipe.drops)
        case "cosine":
            return _cosine(peak, 0.0, (iteration - warmup) / max(1, total_iterations - warmup))
        case "one_cycle":
            return _one_cycle(iteration, recipe.peak_at, total_iterations, peak)
        case "triangular":
            top = recipe.peak_at * total_iterations
            if iteration < top:
                return peak * (iteration + 1) / (top + 1)  # the first step is not lost to a rate of 0
            return _linear(peak, 0.0, (iteration - top) / (total_iterations - top))
    return peak * factor(recipe.schedule, iteration, total_iterations)


def _one_cycle(iteration: int, peak_at: float, total: int, peak: float) -> float:
    """Up and down along half cosines, the first and the last step included."""
    top, last = peak_at * total - 1, total - 1
    if iteration < top:
        return _cosine(CYCLE_START * peak, peak, iteration / top)
    return _cosine(peak, CYCLE_END * peak, (iteration - top) / max(last - top, 1e-9))


def _linear(start: float, end: float, part: float) -> float:
    return start + (end - start) * part


def _cosine(start: float, end: float, part: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2
