"""What each mode makes of a configuration. Free of torch."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from resnet_lab.config.schema import TrainConfig
from resnet_lab.data import counted, few
from resnet_lab.data.spec import DataConfig
from resnet_lab.debug import photographs
from resnet_lab.training import recipes

ITERATIONS = 6
PROFILED = 12  # iterations of debug=profile
BY_HEART = 32, 150  # images of the one batch of debug=overfit, at most, and iterations
RISES, RISING = 200, "resnet_lab.debug.lr_range.rising"  # iterations of debug=lr_range, and its schedule
SMALLEST = 8  # images of the first batch of debug=batch
LIMIT = 100  # one image in this many is taken


def debugged(config: TrainConfig) -> TrainConfig:
    """Return what `debug` makes of a run, in a folder of its own, so that no report takes it for the experiment."""
    ways = {
        "overfit": on_one_batch,
        "profile": for_a_profile,
        "limit": on_few_images,
        "lr_range": over_rates,
        "batch": over_batch_sizes,
    }
    config = ways.get(str(config.debug), within_a_minute)(config)
    return replace(config, name=f"debug/{config.name}")


def within_a_minute(config: TrainConfig) -> TrainConfig:
    """Shorten a run to a minute on a CPU: a few iterations on embedded images, with the schedule in proportion.

    Sets of small images become the digits, image folders crops of two photographs, and of the user's data sets
    few images are taken. Published weights, which may need a network, are left out; those of a file load.
    """
    recipe = _of_iterations(config.recipe, ITERATIONS)
    recipe = replace(
        recipe,
        warmup_iterations=min(recipe.warmup_iterations, 1),
        batch_size=min(recipe.batch_size, 8),
        accumulate=1,
    )
    data = config.data.embedded(lambda: str(photographs.make(Path(config.runs_root) / "debug-images")))
    data = few(data, 32, 16)
    model = config.model
    if model.begins_published:
        model = model.without_weights()
    return replace(config, model=model, recipe=recipe, data=data)


def on_one_batch(config: TrainConfig) -> TrainConfig:
    """Return the real net on one batch of the real images, with nothing that keeps it from overfitting them."""
    most, iterations = BY_HEART
    images = min(config.recipe.batch_size, most)
    recipe = replace(
        config.recipe,
        iterations=iterations,
        epochs=None,
        batch_size=images,
        drop_last=False,
        schedule="constant",
        drops=[],
        warmup_iterations=0,
        weight_decay=0.0,
        label_smoothing=0.0,
        mixup=0.0,
        cutmix=0.0,
        ema=0.0,
        sam=0.0,
        accumulate=1,
        scale_lr=False,
        recompute_bn=False,
    )
    model = config.model.without_noise()
    return replace(config, recipe=recipe, model=model, data=_few(config.data, images, images).unaugmented())


def for_a_profile(config: TrainConfig) -> TrainConfig:
    """Return the real net and the real images, for a few iterations."""
    recipe = _of_iterations(config.recipe, PROFILED)
    return replace(config, recipe=recipe, data=_few(config.data, None, 2 * recipe.batch_size))


def on_few_images(config: TrainConfig) -> TrainConfig:
    """Return the real net on one image in a hundred: as many epochs as the recipe has with all of them."""
    recipe = config.recipe
    if recipe.iterations:
        recipe = recipes.shortened(replace(recipe, shorten=min(LIMIT, recipe.iterations)))
    train, test = _there(config.data)
    one_batch = min(train, recipe.batch_size)
    return replace(
        config, recipe=recipe, data=_few(config.data, max(train // LIMIT, one_batch), max(test // LIMIT, 1))
    )


def over_rates(config: TrainConfig) -> TrainConfig:
    """Let the learning rate rise from very low to very high, with everything else as it is."""
    rising: dict[str, Any] = {
        "lr": 10.0,
        "schedule": RISING,
        "drops": [],
        "warmup_iterations": 0,
        "scale_lr": False,
    }
    return replace(config, recipe=replace(config.recipe, iterations=RISES, epochs=None, ema=0.0, **rising))


def over_batch_sizes(config: TrainConfig) -> TrainConfig:
    """Take two small steps, between which the callback of the mode tries larger ones."""
    recipe = replace(_of_iterations(config.recipe, 2), batch_size=SMALLEST, accumulate=1, ema=0.0)
    recipe = replace(recipe, scale_lr=False, recompute_bn=False, warmup_iterations=0)
    return replace(config, recipe=recipe, data=_few(config.data, None, SMALLEST))


def _of_iterations(recipe: recipes.RecipeConfig, iterations: int) -> recipes.RecipeConfig:
    """Return the recipe with its schedule in proportion."""
    length = recipe.iterations or recipe.epochs or iterations
    recipe = recipes.shortened(replace(recipe, shorten=length / iterations))
    return replace(recipe, iterations=iterations, epochs=None)


def _few(data: DataConfig, train: int | None, test: int) -> DataConfig:
    """Take at most this many of the images and set none aside."""
    return few(replace(data, validation=0), train, test)


def _there(data: DataConfig) -> tuple[int, int]:
    """Return how many images there are to train and to test on."""
    train, test = counted(data)
    return min(train, data.train_images or train), min(test, data.test_images or test)
