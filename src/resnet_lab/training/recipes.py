"""How a net is trained, in words: every choice of a recipe. Free of torch."""

import math
from dataclasses import dataclass, field, replace
from typing import Any

from resnet_lab.errors import UserError
from resnet_lab.fields import check as check_fields
from resnet_lab.fields import choice, number

OPTIMIZERS = ("sgd", "adamw", "lars", "lamb")
DECAY_SCOPES = ("all", "weights", "conv")
SCHEDULES = ("step", "cosine", "one_cycle", "triangular", "constant")
PEAKED = ("one_cycle", "triangular")  # schedules that rise to a peak first
WARMUP_SHAPES = ("constant", "linear")
LOSSES = ("cross_entropy", "binary_cross_entropy")
FREEZABLE = ("none", "backbone")
# Arguments of an optimiser that keys of the recipe decide: the parameter groups say them, or the schedule.
DECIDED = {
    "lr": "recipe.lr",
    "weight_decay": "recipe.weight_decay",
    "params": "recipe.lr_scale",
    "rho": "recipe.sam",
    "momentum": "recipe.momentum",
    "nesterov": "recipe.nesterov",
}


@dataclass
class RecipeConfig:
    """One training recipe. Its length and its drops are counted in iterations, or both in epochs.

    `optimizer`, `loss` and `schedule` also take a dotted path to the user's, as torch.optim.RAdam; `training/own.py`
    says what each must be.
    """

    # name of the recipe
    name: str = "???"
    # sgd, adamw, or lars and lamb (extra `optim`), or the dotted path of your own
    optimizer: str = choice("sgd", OPTIMIZERS, own=True)
    # further arguments of the optimizer, for example {betas: [0.9, 0.99]}
    optimizer_args: dict[str, Any] = field(default_factory=dict)
    # base learning rate
    lr: float = number(0.1, above=0)
    # factors of the learning rate by parameter name, for example {"layer1.*": 0.1}
    lr_scale: dict[str, float] = field(default_factory=dict)
    # momentum of sgd and lars
    momentum: float = number(0.9, least=0, below=1)
    # use Nesterov momentum (sgd and lars)
    nesterov: bool = False
    # weight decay (L2)
    weight_decay: float = number(1e-4, least=0)
    # what decays: all parameters; weights: no biases and no batch norm; conv: only convolutions
    weight_decay_scope: str = choice("all", DECAY_SCOPES)
    # radius of sharpness-aware minimization around the optimizer; 0: off
    sam: float = number(0.0, least=0)
    # images per step, over all devices and accumulated batches
    batch_size: int = number(128, least=1)
    # leave out the last, smaller batch of an epoch
    drop_last: bool = False
    # length of training in iterations; set either this or recipe.epochs
    iterations: int | None = number(None, least=1, most=100_000_000)
    # length of training in epochs; set either this or recipe.iterations
    epochs: int | None = number(None, least=1, most=1_000_000)
    # divide the length, the drops and the warm-up by this factor
    shorten: float = number(1.0, least=1)
    # learning-rate schedule, or the dotted path of your own
    schedule: str = choice("step", SCHEDULES, own=True)
    # step: when the rate drops, in iterations or epochs like the length
    drops: list[float] = field(default_factory=list)
    # step: factor of the rate at each drop
    drop_factor: float = number(0.1, above=0)
    # one_cycle, triangular: position of the peak, as a fraction of the run
    peak_at: float = number(0.3, above=0, below=1)
    # iterations of warm-up before the schedule begins
    warmup_iterations: int = number(0, least=0)
    # learning rate during warm-up (constant), or at its start (linear)
    warmup_lr: float = number(0.01, above=0)
    # constant: one rate, as in He et al.; linear: from recipe.warmup_lr to recipe.lr
    warmup_shape: str = choice("constant", WARMUP_SHAPES)
    # loss, or the dotted path of your own; binary_cross_entropy treats each class on its own
    loss: str = choice("cross_entropy", LOSSES, own=True)
    # arguments of your own loss
    loss_args: dict[str, Any] = field(default_factory=dict)
    # weight that cross-entropy gives to the other classes; 0: off
    label_smoothing: float = number(0.0, least=0, below=1)
    # alpha of mixup; 0: off
    mixup: float = number(0.0, least=0)
    # alpha of CutMix; 0: off
    cutmix: float = number(0.0, least=0)
    # decay per iteration of the averaged weights, which are tested in place of the last ones; 0: off
    ema: float = number(0.0, least=0, below=1)
    # norm at which gradients are clipped; 0: off
    clip: float = number(0.0, least=0)
    # batches whose gradients are added up for one step
    accumulate: int = number(1, least=1)
    # scale the learning rate by batch_size / base_batch_size
    scale_lr: bool = False
    # batch size for which recipe.lr is meant (recipe.scale_lr)
    base_batch_size: int = number(128, least=1)
    # backbone: train only the classifier; everything else, batch norm included, stays as it is
    freeze: str = choice("none", FREEZABLE)
    # after training, recompute batch-norm statistics as a plain average over training images
    recompute_bn: bool = False


def shortened(recipe: RecipeConfig) -> RecipeConfig:
    """Return the recipe with its length, drops and warm-up divided by `shorten`, which is 1 afterwards.

    A length is a whole number, and the rest is in proportion to it. Raises UserError where nothing of it is left.
    """
    full = recipe.iterations or recipe.epochs
    if recipe.shorten == 1 or full is None:
        return recipe
    unit = "iterations" if recipe.iterations else "epochs"
    length = round(full / recipe.shorten)
    if length < 1:
        raise UserError(
            f"recipe.shorten={recipe.shorten:g} leaves nothing of {full} {unit}: {full} is the most"
        )
    warmup = math.ceil(recipe.warmup_iterations * length / full)
    drops = [drop * length / full for drop in recipe.drops]
    recipe = replace(recipe, drops=drops, warmup_iterations=warmup, shorten=1.0)
    return replace(recipe, iterations=length) if recipe.iterations else replace(recipe, epochs=length)


def check(recipe: RecipeConfig) -> None:
    """Raise UserError for the first choice that is unknown, out of range, or at odds with another."""
    check_fields(recipe, "recipe.")
    _check_scales(recipe)
    _check_length(recipe)
    _check_combinations(recipe)


def _check_scales(recipe: RecipeConfig) -> None:
    for pattern, scale in recipe.lr_scale.items():
        if not (math.isfinite(scale) and scale >= 0):
            raise UserError(f"recipe.lr_scale={recipe.lr_scale}: {pattern}: must not be negative; 0 freezes")


def _check_length(recipe: RecipeConfig) -> None:
    if (recipe.iterations is None) == (recipe.epochs is None):
        given = "neither is" if recipe.iterations is None else "both are"
        raise UserError(
            f"a recipe has a length: set exactly one of recipe.iterations and recipe.epochs ({given} set; "
            "to change the unit, set the other one to null)"
        )
    length = recipe.iterations or recipe.epochs or 0
    if recipe.drops and recipe.schedule != "step":
        raise UserError(f"recipe.drops belong to recipe.schedule=step, not to {recipe.schedule!r}")
    if sorted(recipe.drops) != list(recipe.drops) or any(not 0 < drop <= length for drop in recipe.drops):
        unit = "iterations" if recipe.iterations else "epochs"
        raise UserError(f"recipe.drops={list(recipe.drops)}: must rise, within {length} {unit}")


def _check_combinations(recipe: RecipeConfig) -> None:
    if recipe.schedule in PEAKED and recipe.warmup_iterations:
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
    for name in recipe.optimizer_args:
        others = name in ("momentum", "nesterov") and recipe.optimizer not in ("sgd", "lars")
        if name in DECIDED and not (others or (name == "rho" and not recipe.sam)):
            raise UserError(f"recipe.optimizer_args.{name}: {DECIDED[name]} decides it")
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


def unread(recipe: RecipeConfig) -> dict[str, str]:
    """Return the fields that nothing reads with this recipe, and what would read each."""
    readers = {
        "momentum": (recipe.optimizer in ("sgd", "lars"), "recipe.optimizer=sgd or lars"),
        "weight_decay_scope": (recipe.weight_decay > 0, "recipe.weight_decay above 0"),
        "drop_factor": (bool(recipe.drops), "recipe.schedule=step with recipe.drops"),
        "peak_at": (recipe.schedule in PEAKED, "recipe.schedule=one_cycle or triangular"),
        "warmup_lr": (recipe.warmup_iterations > 0, "recipe.warmup_iterations above 0"),
        "warmup_shape": (recipe.warmup_iterations > 0, "recipe.warmup_iterations above 0"),
        "label_smoothing": ("." not in recipe.loss, "recipe.loss=cross_entropy"),
        "base_batch_size": (recipe.scale_lr, "recipe.scale_lr=true"),
    }
    return {name: reader for name, (read, reader) in readers.items() if not read}


def check_scaled(recipe: RecipeConfig) -> None:
    """Raise UserError for what cannot follow the scaled gradients of fp16."""
    if recipe.sam:
        raise UserError("recipe.sam does not go with precision=16: it cannot follow scaled gradients")


def check_statistics(recipe: RecipeConfig, images: int, devices: int) -> None:
    """Raise UserError where a device gets one training image alone, of which batch norm has no variance.

    For a net whose last map is 1x1; `devices`: that take their statistics apart.
    """
    batch = loader_batch_size(recipe)
    last = 0 if recipe.drop_last else images % batch
    if batch // devices == 1:
        raise UserError(
            f"recipe.batch_size={recipe.batch_size}: one image at a time on a device, whose last map of 1x1 batch "
            f"norm cannot normalise; {2 * devices * recipe.accumulate} is the least"
        )
    if last // devices == 1:
        raise UserError(
            f"recipe.batch_size={recipe.batch_size}: the last batch of {images} images leaves a device one alone, "
            "whose last map of 1x1 batch norm cannot normalise; set recipe.drop_last=true or another batch size"
        )


def peak_lr(recipe: RecipeConfig) -> float:
    """Return the learning rate that the schedule scales, after linear scaling with the batch if asked for."""
    return recipe.lr * (recipe.batch_size / recipe.base_batch_size if recipe.scale_lr else 1.0)


def loader_batch_size(recipe: RecipeConfig) -> int:
    """Return how many images one forward pass sees, over all devices."""
    return recipe.batch_size // recipe.accumulate


def images_per_statistic(recipe: RecipeConfig, devices: int, *, synced: bool) -> int:
    """Return how many images share a batch norm's statistics: those of a device, or all if synchronised."""
    return loader_batch_size(recipe) // (1 if synced else devices)


def total_iterations(recipe: RecipeConfig, batches_per_epoch: int) -> int:
    """Optimiser steps of the whole run; `batches_per_epoch` counts forward passes."""
    if recipe.iterations is not None:
        return recipe.iterations
    assert recipe.epochs is not None
    return recipe.epochs * math.ceil(batches_per_epoch / recipe.accumulate)


def trainer_arguments(recipe: RecipeConfig) -> dict[str, Any]:
    """Return what the recipe asks of Lightning's Trainer: the length of the run, and how often it steps.

    A length in iterations becomes an upper bound in epochs, which `Classifier` makes exact: Lightning's own
    `max_steps` forgets an epoch when it resumes, and leaves a last, partial epoch without its evaluation.
    """
    return {"max_epochs": recipe.epochs or recipe.iterations, "accumulate_grad_batches": recipe.accumulate}
