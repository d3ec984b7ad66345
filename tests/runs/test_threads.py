"""How many threads a run has follows from the side of its images, wherever they come from."""

import pytest

from resnet_lab.config.schema import TrainConfig
from resnet_lab.data.spec import (
    DataConfig,
    ImageFolderConfig,
    OwnConfig,
    SmallFolderConfig,
    SmallImagesConfig,
)
from resnet_lab.models.description import ModelConfig
from resnet_lab.runs.threads import threads_of
from resnet_lab.training.recipes import RecipeConfig


@pytest.mark.parametrize(
    ("data", "threads"),
    [
        (SmallImagesConfig(name="digits"), 1),
        (SmallFolderConfig(name="small_folder", size=128), 8),
        (OwnConfig(height=32, width=32), 1),
        (OwnConfig(height=32, width=224), 8),
        (ImageFolderConfig(name="image_folder", crop=64), 1),
        (ImageFolderConfig(name="imagenet"), 8),
    ],
)
def test_a_run_of_small_images_has_one_thread(data: DataConfig, threads: int) -> None:
    assert threads_of(TrainConfig(data, ModelConfig(), RecipeConfig()), share=8) == threads
