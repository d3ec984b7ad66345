"""How a net is trained, in words: every choice of a recipe. Free of torch."""

import math
from dataclasses import dataclass, field
from typing import Any

from resnet_lab.errors import UserError, unknown

OPTIMIZERS = ("sgd", "adamw", "lars", "lamb")
DECAY_SCOPES = ("all", "weights", "conv")
SCHEDULES = ("step", "cosine", "one_cycle", "triangular", "constant")
WARMUP_SHAPES = ("constant", "linear")
LOSSES = ("cross_entropy", "binary_cross_entropy")
FREEZABLE = ("none", "backbone")
OWN = ("optimizer", "schedule", "loss")  # these take a dotted path, too


@dataclass
class RecipeConfig:
    """One training recipe. Its length and its drops are counted in iterations, or both in epochs.

    `optimizer`, `loss` and `schedule` also take a dotted path to one's own, as torch.optim.RAdam; `training/own.py`
    says what each must be.
    """

    name: str = "???"
    optimizer: str = "sgd"  # sgd, adamw; lars, lamb: with the extra `optim`
    optimizer_args: dict[str, Any] = field(
        default_factory=dict
    )  # whatever else it takes, as {betas: [0.9, 0.99]}
    lr: float = 0.1
    lr_scale: dict[str, float] = field(default_factory=dict)  # {"layer1.*": 0.1}: times lr, by parameter name
    momentum: float = 0.9  # of sgd and lars
    nesterov: bool = False
    weight_decay: float = 1e-4
    weight_decay_scope: str = "all"  # all; weights (no bias, no BN); conv (only convolutions)
    sam: float = 0.0  # radius of sharpness-aware minimisation around the optimizer; 0: off
    batch_size: int = 128  # images of one optimiser step, over all devices and accumulated batches
    drop_last: bool = False  # leave out the last, smaller batch of an epoch
    iterations: int | None = None  # exactly one of iterations and epochs is set
    epochs: int | None = None
    schedule: str = "step"  # step, cosine, one_cycle, triangular, constant
    drops: list[float] = field(default_factory=list)  # step: when, in the unit of the length
    drop_factor: float = 0.1
    peak_at: float = 0.3  # one_cycle, triangular: where the peak is, as a part of the run
    warmup_iterations: int = 0
    warmup_lr: float = 0.01
    warmup_shape: str = "constant"  # constant (he2015, he2016) or linear (from warmup_lr to lr)
    loss: str = "cross_entropy"  # or binary_cross_entropy, each class on its own
    loss_args: dict[str, Any] = field(default_factory=dict)  # of a loss of one's own
    label_smoothing: float = 0.0
    mixup: float = 0.0  # alpha; 0: off
    cutmix: float = 0.0
    ema: float = 0.0  # decay, an iteration, of the averaged weights that are tested; 0: off
    clip: float = 0.0  # norm at which gradients are clipped; 0: off
    accumulate: int = 1  # batches whose gradients are summed for one step
    scale_lr: bool = False  # scale lr linearly with batch_size / base_batch_size
    base_batch_size: int = 128
    freeze: str = "none"  # none; backbone: train the classifier alone, all else and its BN stay as they are
    recompute_bn: bool = False  # BN statistics as a plain average over training images, after training


def check(recipe: RecipeConfig) -> None:
    """Raise UserError for the first choice that is unknown, out of range, or at odds with another."""
    for key, allowed in (
        ("optimizer", OPTIMIZERS),
        ("weight_decay_scope", DECAY_SCOPES),
        ("schedule", SCHEDULES),
        ("warmup_shape", WARMUP_SHAPES),
        ("loss", LOSSES),
        ("freeze", FREEZABLE),
    ):
        given = getattr(recipe, key)
        if given not in allowed and not (key in OWN and "." in given):
            raise unknown(f"recipe.{key}", given, allowed)
    _check_ranges(recipe)
    _check_length(recipe)
    _check_combinations(recipe)


def _check_ranges(recipe: RecipeConfig) -> None:
    def need(key: str, fits: bool, what: str) -> None:
        if not fits:
            raise UserError(f"recipe.{key}={getattr(recipe, key)}: {what}")

    for key in ("batch_size", "base_batch_size", "accumulate"):
        need(key, getattr(recipe, key) >= 1, "must be at least 1")
    for key in ("iterations", "epochs"):
        need(key, getattr(recipe, key) is None or getattr(recipe, key) >= 1, "must be at least 1")
    for key in ("lr", "drop_factor", "warmup_lr"):
        value: float = getattr(recipe, key)
        need(key, math.isfinite(value) and value > 0, "must be a positive number")
    for key in ("weight_decay", "warmup_iterations", "mixup", "cutmix", "clip", "sam"):
        value = getattr(recipe, key)
        need(key, math.isfinite(value) and value >= 0, "must not be negative")
    for key in ("momentum", "label_smoothing", "ema"):
        need(key, 0 <= getattr(recipe, key) < 1, "must be at least 0 and below 1")
    need("peak_at", 0 < recipe.peak_at < 1, "must lie between 0 and 1")
    for pattern, scale in recipe.lr_scale.items():
        need("lr_scale", math.isfinite(scale) and scale >= 0, f"{pattern}: must not be negative; 0 freezes")


def _check_length(recipe: RecipeConfig) -> None:
    if (recipe.iterations is None) == (recipe.epochs is None):
        given = "neither" if recipe.iterations is None else "both"
        raise UserError(
            f"a recipe has a length: set exactly one of recipe.iterations and recipe.epochs ({given} is set; "
            "to change the unit, set the other one to null)"
        )
    length = recipe.iterations or recipe.epochs or 0
    if recipe.drops and recipe.schedule != "step":
        raise UserError(f"recipe.drops belong to recipe.schedule=step, not to {recipe.schedule!r}")
    if sorted(recipe.drops) != list(recipe.drops) or any(not 0 < drop <= length for drop in recipe.drops):
        unit = "iterations" if recipe.iterations else "epochs"
        raise UserError(f"recipe.drops={list(recipe.drops)}: must rise, within {length} {unit}")


def _check_combinations(recipe: RecipeConfig) -> None:
    if recipe.schedule in ("one_cycle", "triangular") and recipe.warmup_iterations:
        raise UserError(
            f"recipe.warmup_iterations={recipe.warmup_iterations}: recipe.schedule={recipe.schedule} "
            "warms up by itself (recipe.peak_at)"
        )
    if recipe.iterations is not None and recipe.warmup_iterations >= recipe.iterations:
        raise UserError(
            f"recipe.warmup_iterations={recipe.warmup_iterations}: must be below the "
            f"{recipe.iterations} iterations of the run"
        )
    if recipe.batch_size % recipe.accumulate:
        raise UserError(
            f"recipe.batch_size={recipe.batch_size} does not divide into "
            f"recipe.accumulate={recipe.accumulate} equal batches"
        )
    if recipe.loss_args and "." not in recipe.loss:
        raise UserError(f"recipe.loss_args={recipe.loss_args}: recipe.loss={recipe.loss} takes none")
    if recipe.nesterov and (recipe.optimizer not in ("sgd", "lars") or recipe.momentum == 0):
        raise UserError("recipe.nesterov needs recipe.optimizer=sgd or lars, with a momentum above 0")
    if recipe.sam and recipe.accumulate > 1:
        raise UserError("recipe.sam takes its two steps on one batch: set recipe.accumulate=1")
    if recipe.loss == "binary_cross_entropy" and recipe.label_smoothing:
        raise UserError("recipe.label_smoothing belongs to recipe.loss=cross_entropy")
    if recipe.freeze == "backbone" and recipe.recompute_bn:
        raise UserError("recipe.recompute_bn would change the statistics that recipe.freeze=backbone keeps")


def peak_lr(recipe: RecipeConfig) -> float:
    """The learning rate that the schedule scales, after linear scaling with the batch if asked for."""
    return recipe.lr * (recipe.batch_size / recipe.base_batch_size if recipe.scale_lr else 1.0)


def loader_batch_size(recipe: RecipeConfig) -> int:
    """Images that one forward pass sees, over all devices."""
    return recipe.batch_size // recipe.accumulate


def images_per_statistic(recipe: RecipeConfig, devices: int, *, synced: bool) -> int:
    """Images that each mean and variance of batch norm is taken over: a device's share, or all if synchronised."""
    return loader_batch_size(recipe) // (1 if synced else devices)


def total_iterations(recipe: RecipeConfig, batches_per_epoch: int) -> int:
    """Optimiser steps of the whole run; `batches_per_epoch` counts forward passes."""
    if recipe.iterations is not None:
        return recipe.iterations
    assert recipe.epochs is not None
    return recipe.epochs * math.ceil(batches_per_epoch / recipe.accumulate)


def trainer_arguments(recipe: RecipeConfig) -> dict[str, Any]:
    """What the recipe asks of Lightning's Trainer: the length of the run, and how often it steps.

    A length in iterations becomes an upper bound in epochs, which `Classifier` makes exact: Lightning's own
    `max_steps` forgets an epoch when it resumes, and leaves a last, partial epoch without its evaluation.
    """
    return {"max_epochs": recipe.epochs or recipe.iterations, "accumulate_grad_batches": recipe.accumulate}
