"""Recipes: what is refused, and that the papers' are the papers'."""

import dataclasses
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from resnet_lab import reference
from resnet_lab.errors import UserError
from resnet_lab.training.recipes import (
    RecipeConfig,
    check,
    check_statistics,
    peak_lr,
    shortened,
    total_iterations,
)
from resnet_lab.training.schedules import learning_rate

FOLDER = Path(__file__).parents[2] / "configs" / "recipe"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name: str) -> RecipeConfig:
    """A recipe as Hydra composes it, its defaults list followed."""
    merged = OmegaConf.structured(RecipeConfig)
    given = OmegaConf.load(FOLDER / f"{name}.yaml")
    for parent in given.pop("defaults"):
        if parent not in ("schema", "_self_"):
            merged = OmegaConf.merge(merged, OmegaConf.structured(load(parent)))
    found = OmegaConf.to_object(OmegaConf.merge(merged, given))
    assert isinstance(found, RecipeConfig)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_is_sound_and_starts_with_its_command(name: str) -> None:
    recipe = load(name)
    check(recipe)
    assert recipe.name == name
    command = (FOLDER / f"{name}.yaml").read_text().splitlines()[0]
    assert command.startswith("# resnet-lab train ")
    assert {f"recipe={name}", f"experiment=modern/{name}"} & {*command.split()}


def test_he2015_cifar_is_what_the_paper_states() -> None:
    facts, recipe = reference.recipes()["p1_cifar10"], load("he2015_cifar")
    assert recipe.optimizer == facts["optimizer"]["type"].lower()
    assert recipe.momentum == facts["optimizer"]["momentum"]
    assert recipe.weight_decay == facts["optimizer"]["weight_decay"]
    assert recipe.batch_size == facts["batch_size"]["value"]
    assert recipe.lr == facts["lr"]["initial"]
    assert recipe.drops == facts["lr"]["drops_at_iterations"]
    assert recipe.drop_factor == facts["lr"]["factor"]
    assert recipe.iterations == facts["lr"]["stop_iteration"]
    assert recipe.warmup_iterations == 0


def test_depths_110_and_1202_of_he2015_warm_up_as_the_footnote_says() -> None:
    facts, recipe = reference.recipes()["p1_cifar10"]["warmup_110"], load("he2015_cifar_warmup")
    assert (recipe.warmup_lr, recipe.warmup_iterations) == (facts["lr"], facts["about_iterations"])
    assert learning_rate(recipe.warmup_iterations, recipe, 64000) == facts["then"]
    plain = load("he2015_cifar")
    changed = {key for key in vars(plain) if getattr(plain, key) != getattr(recipe, key)}
    assert changed == {"name", "warmup_iterations"}


def test_he2016_cifar_is_he2015_with_a_warmup_for_every_net() -> None:
    facts, recipe = reference.recipes()["p2_cifar"], load("he2016_cifar")
    assert (recipe.warmup_lr, recipe.warmup_iterations) == (
        facts["warmup"]["lr"],
        facts["warmup"]["iterations"],
    )
    assert recipe.drops == facts["lr"]["drops_at_iterations"]
    assert recipe.iterations == 64000
    assert (recipe.weight_decay, recipe.momentum) == (facts["weight_decay"], facts["momentum"])
    assert recipe.batch_size == facts["batch_size"]["value"]


def test_imagenet_recipes_are_what_the_papers_state() -> None:
    facts, recipe = reference.recipes()["p1_imagenet"], load("he2015_imagenet")
    assert recipe.batch_size == facts["optimizer"]["batch_size"]
    assert recipe.weight_decay == facts["optimizer"]["weight_decay"]
    assert recipe.iterations == facts["lr"]["max_iterations"]
    assert recipe.drops == facts["lr_drops_observed_fig4"]["iterations"]
    assert recipe.recompute_bn  # "computed after training as a plain average"
    facts, recipe = reference.recipes()["p2_imagenet"], load("he2016_imagenet")
    assert recipe.batch_size == facts["batch_size"]["value"]
    assert recipe.drops == facts["lr"]["drops_at_epochs"]
    assert recipe.warmup_iterations == 0


MISTAKES = {
    "did you mean 'sgd'": {"optimizer": "sdg"},
    "did you mean 'cosine'": {"schedule": "cosin"},
    "recipe.weight_decay_scope 'bias'": {"weight_decay_scope": "bias"},
    "recipe.lr=0": {"lr": 0.0},
    "recipe.lr=nan": {"lr": float("nan")},
    "recipe.batch_size=0": {"batch_size": 0},
    "recipe.momentum=1.5": {"momentum": 1.5},
    "recipe.ema=1.0": {"ema": 1.0},
    "recipe.peak_at=1.0": {"peak_at": 1.0},
    "exactly one of recipe.iterations and recipe.epochs (both": {"iterations": 10},
    "exactly one of recipe.iterations and recipe.epochs (neither": {"epochs": None},
    "must rise, within 10 epochs": {"drops": [8.0, 4.0]},
    "recipe.drops=[12.0]": {"drops": [12.0]},
    "belong to recipe.schedule=step": {"drops": [5.0], "schedule": "cosine"},
    "warms up by itself": {"schedule": "one_cycle", "warmup_iterations": 5},
    "must be below the 10 iterations": {"epochs": None, "iterations": 10, "warmup_iterations": 10},
    "does not divide into recipe.accumulate=3": {"accumulate": 3},
    "recipe.nesterov needs": {"nesterov": True, "optimizer": "adamw"},
    "set recipe.accumulate=1": {"sam": 0.05, "accumulate": 2},
    "belongs to recipe.loss=cross_entropy": {"loss": "binary_cross_entropy", "label_smoothing": 0.1},
}


@pytest.mark.parametrize("message", MISTAKES)
def test_mistake_is_one_line_that_names_the_key(message: str) -> None:
    choices: dict[str, Any] = {"epochs": 10, **MISTAKES[message]}
    with pytest.raises(UserError) as error:
        check(RecipeConfig(**choices))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shorten", [1.5, 4, 16])
def test_a_shortened_recipe_has_its_schedule_in_proportion(name: str, shorten: float) -> None:
    full = load(name)
    short = shortened(dataclasses.replace(full, shorten=shorten))
    check(short)
    total, less = (recipe.iterations or (recipe.epochs or 0) * 1000 for recipe in (full, short))
    assert less == pytest.approx(total / shorten, abs=0.5 if full.iterations else 500)
    warm = short.warmup_iterations
    assert warm == math.ceil(full.warmup_iterations * less / total)
    for part in (0.1, 0.3, 0.45, 0.6, 0.9):  # beyond the warm-up, and beside the drops
        rates = learning_rate(int(part * total), full, total), learning_rate(int(part * less), short, less)
        assert rates[0] == pytest.approx(rates[1], abs=peak_lr(full) / min(warm or 250, 250)), part


def test_shortening_is_done_but_once_and_leaves_the_other_choices() -> None:
    full = load("he2016_cifar")
    short = shortened(dataclasses.replace(full, shorten=16))
    assert (short.iterations, short.drops, short.warmup_iterations) == (4000, [2000, 3000], 25)
    assert shortened(short) == short
    changed = {key for key in vars(full) if getattr(full, key) != getattr(short, key)}
    assert changed == {"iterations", "drops", "warmup_iterations"}


def test_a_recipe_of_which_shortening_leaves_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="shorten=500 leaves nothing of 90 epochs: 90 is the most"):
        shortened(RecipeConfig(epochs=90, shorten=500))


def test_epochs_count_steps_and_not_batches_when_gradients_accumulate() -> None:
    assert total_iterations(RecipeConfig(epochs=3), batches_per_epoch=7) == 21
    assert total_iterations(RecipeConfig(epochs=3, accumulate=2), batches_per_epoch=7) == 12
    assert total_iterations(RecipeConfig(iterations=64000), batches_per_epoch=7) == 64000


def test_recipes_schedules_and_protocols_load_no_torch() -> None:
    modules = "recipes, schedules, protocols"
    code = f"import sys; from resnet_lab.training import {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    ("choices", "images", "devices", "told"),
    [
        ({"batch_size": 1}, 64, 1, "2 is the least"),
        ({"batch_size": 8, "accumulate": 8}, 64, 1, "16 is the least"),
        ({"batch_size": 3}, 64, 2, "4 is the least"),
        ({"batch_size": 32}, 65, 1, "drop_last=true"),
        ({"batch_size": 32}, 67, 2, "drop_last=true"),
        ({"batch_size": 32, "drop_last": True}, 65, 1, None),
        ({"batch_size": 32}, 64, 1, None),
        ({"batch_size": 32}, 66, 1, None),
    ],
)
def test_an_image_alone_on_its_device_is_told_with_what_mends_it(
    choices: dict[str, Any], images: int, devices: int, told: str | None
) -> None:
    recipe = RecipeConfig(epochs=1, **choices)
    if told is None:
        check_statistics(recipe, images, devices)
    else:
        with pytest.raises(UserError, match=told):
            check_statistics(recipe, images, devices)
