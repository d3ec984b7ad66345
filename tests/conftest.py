"""A run that trains in seconds: depth 8, a few images of 8x8. No test leaves a forked process behind."""

import gc
import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from composed import once
from resnet_lab.config import compose
from resnet_lab.config.schema import TrainConfig, TrainerConfig
from resnet_lab.data.spec import SmallImagesConfig
from resnet_lab.models.description import ModelConfig
from resnet_lab.training.recipes import RecipeConfig

MakeConfig = Callable[..., TrainConfig]

compose.hydra_compose = once(compose.hydra_compose)

# A shell lets what it starts in the background ignore Ctrl-C, and a run keeps to that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """What was imported stays to the end: the collector need not look through it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def no_forked_process_left() -> Iterator[None]:
    yield
    for process in multiprocessing.active_children():
        if process.name == "forked":
            process.kill()
            process.join()


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Two workers that compute with two threads each wait for each other; and no test sees what another chose."""
    if torch := sys.modules.get("torch"):  # what needs none is not to import it
        torch.set_num_threads(1)


@pytest.fixture
def make_config(tmp_path: Path) -> MakeConfig:
    """Build a small configuration; keywords replace its fields, ``recipe={"lr": 0.2}`` those of a group."""

    def make(**changes: Any) -> TrainConfig:
        config = TrainConfig(
            data=SmallImagesConfig(
                name="digits", validation=40, train_images=160, test_images=80, pad=1, flip=False
            ),
            model=ModelConfig(depth=8, width=4, in_channels=1, num_classes=10),
            recipe=RecipeConfig(name="digits", epochs=3, batch_size=32, schedule="constant"),
            trainer=TrainerConfig(accelerator="cpu", threads=1, progress=False),
            runs_root=str(tmp_path / "runs"),
        )
        for name, change in changes.items():
            group = getattr(config, name)
            setattr(config, name, replace(group, **change) if isinstance(change, dict) else change)
        return replace(config, model=config.model.resolved())

    return make
