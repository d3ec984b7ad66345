"""debug=true: the same run within a minute. Free of torch."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from resnet_lab.config.schema import TrainConfig
from resnet_lab.data import debug_images
from resnet_lab.data.spec import ImageFolderConfig, InMemoryConfig, OwnConfig, SmallImagesConfig
from resnet_lab.models.made import has_published_weights
from resnet_lab.models.nets import without_weights
from resnet_lab.training import recipes

ITERATIONS = 6


def within_a_minute(config: TrainConfig) -> TrainConfig:
    """The same run within a minute on a CPU: a few iterations on embedded images, its schedule in proportion.

    Sets of small images become the digits, image folders crops of two photographs, and of data sets of one's own
    few images are taken. Published weights, which may need a network, are left out; those of a file load.
    """
    length = config.recipe.iterations or config.recipe.epochs or ITERATIONS
    recipe = recipes.shortened(replace(config.recipe, shorten=length / ITERATIONS))
    recipe = replace(
        recipe,
        iterations=ITERATIONS,
        epochs=None,
        warmup_iterations=min(recipe.warmup_iterations, 1),
        batch_size=min(recipe.batch_size, 8),
        accumulate=1,
    )
    data = config.data
    few: dict[str, Any] = {"validation": 0, "train_images": 32, "test_images": 16}
    if isinstance(data, SmallImagesConfig):
        few["validation"] = min(data.validation, 16)
        data = replace(data, name="digits", root=None, size=None, pad=1, flip=False, **few)
    elif isinstance(data, InMemoryConfig):
        kept: dict[str, Any] = {"mean": data.mean, "divide_by_std": data.divide_by_std, "cutout": data.cutout}
        data = SmallImagesConfig(name="digits", pad=1, flip=False, **kept, **few)
    elif isinstance(data, OwnConfig):
        from resnet_lab.data.own.choices import few as few_of

        data = few_of(data, few["train_images"], few["test_images"])
    elif isinstance(data, ImageFolderConfig):
        root = debug_images.make(Path(config.runs_root) / "debug-images")
        sizes: dict[str, Any] = {
            "crop": 64,
            "test_crop": None,
            "resize": 72,
            "scale_min": 72,
            "scale_max": 80,
        }
        data = replace(data, name="image_folder", root=str(root), fingerprint=None, **sizes, **few)
    model = config.model
    if has_published_weights(model):
        model = without_weights(model)
    # A folder of its own, so that no report takes it for the experiment.
    return replace(config, name=f"debug/{config.name}", model=model, recipe=recipe, data=data)
