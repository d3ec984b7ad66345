"""Tiny images, a tiny net and a trainer without ornaments, for the tests of training."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Callback, Checkpoint
from torch import Tensor, nn

from resnet_lab.training import Classifier, RecipeConfig
from resnet_lab.training.metrics import Metrics
from resnet_lab.training.recipes import check, loader_batch_size, trainer_arguments

CLASSES = 6


def images(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Noise (N, 1, 8, 8) over a stripe whose row tells the class, and labels (N,)."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % CLASSES
    noise = torch.randn(count, 1, 8, 8, generator=generator)
    noise[torch.arange(count), 0, labels + 1] += 1.5
    return noise, labels


def rank_and_world() -> tuple[int, int]:
    on = torch.distributed.is_initialized()
    return (torch.distributed.get_rank(), torch.distributed.get_world_size()) if on else (0, 1)


class TestLoader:
    """This rank's share of the images, each exactly once."""

    __test__ = False

    def __init__(self, count: int, batch_size: int = 16) -> None:
        self.images, self.labels = images(count, seed=1)
        self.batch_size = batch_size

    def __len__(self) -> int:
        rank, world = rank_and_world()
        return -(-len(self.labels[rank::world]) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        rank, world = rank_and_world()
        shares = (self.images[rank::world], self.labels[rank::world])
        return zip(*(share.split(self.batch_size) for share in shares), strict=True)


class TrainLoader:
    """This rank's share of each batch, in an order that depends on the epoch; can be taken up anywhere."""

    def __init__(self, count: int, batch_size: int) -> None:
        self.images, self.labels = images(count)
        self.batch_size = batch_size
        self.epoch = self.start = self.given = 0

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        rank, world = rank_and_world()
        self.given, self.start = self.start, 0
        order = torch.randperm(len(self.labels), generator=torch.Generator().manual_seed(self.epoch))
        for batch in order.split(self.batch_size)[self.given :]:
            self.given += 1
            yield self.images[batch[rank::world]], self.labels[batch[rank::world]]

    @property
    def sampler(self) -> "TrainLoader":
        return self

    def set_epoch(self, epoch: int) -> None:
        if epoch != self.epoch:
            self.epoch, self.start = epoch, 0

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self.epoch, "given": self.given}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.epoch, self.start = state["epoch"], state["given"]


def net(*, dropout: float = 0.0, batch_norm: bool = True) -> nn.Module:
    torch.manual_seed(7)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, bias=False),
        nn.BatchNorm2d(8) if batch_norm else nn.Identity(),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, bias=False),
        nn.BatchNorm2d(8) if batch_norm else nn.Identity(),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.AdaptiveAvgPool2d((4, 1)),
        nn.Flatten(),
        nn.Linear(32, CLASSES),
    )


def recipe(**choices: Any) -> RecipeConfig:
    length = {} if "iterations" in choices else {"epochs": 3}
    chosen = RecipeConfig(**{"name": "toy", "batch_size": 16, "schedule": "constant", **length, **choices})
    check(chosen)
    return chosen


def trainer(recipe: RecipeConfig, *callbacks: Any, **choices: Any) -> Trainer:
    options = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": any(isinstance(c, Checkpoint) for c in callbacks),
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "use_distributed_sampler": False,
        "callbacks": list(callbacks),
        **trainer_arguments(recipe),
    }
    return Trainer(**{**options, **choices})


def fit(
    recipe: RecipeConfig,
    *callbacks: Any,
    backbone: nn.Module | None = None,
    train_images: int = 90,
    checkpoint: Path | None = None,
    seed: int = 1,
    test_images: int = 40,
    metrics: Metrics | None = None,
    **choices: Any,
) -> tuple[Classifier, Trainer]:
    """Train the toy net; the last batch of an epoch is smaller than the others."""
    module = Classifier(backbone or net(), recipe, CLASSES, ("test",), seed=seed, metrics=metrics)
    runner = trainer(recipe, *callbacks, **choices)
    loaders = TrainLoader(train_images, loader_batch_size(recipe)), [TestLoader(test_images)]
    runner.fit(module, *loaders, ckpt_path=checkpoint, weights_only=True)
    return module, runner


def weights(module: nn.Module) -> Tensor:
    return torch.cat([value.double().flatten() for value in module.state_dict().values()])


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


class Killed(Exception):
    """Named in its message too, which is all that crosses from one process to another."""

    def __init__(self) -> None:
        super().__init__("Killed")


class KillAt(Callback):
    """Ends the process's work after one batch: what is not on the disk by then is lost."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step == self.step:
            raise Killed


class Save(Checkpoint):
    """Saves every few steps within an epoch, never within a step, and when an epoch ends."""

    def __init__(self, path: Path, every: int) -> None:
        self.path, self.every = path, every

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        stepped = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if stepped and not trainer.is_last_batch and trainer.global_step % self.every == 0:
            trainer.save_checkpoint(self.path)

    def on_train_epoch_end(self, trainer: Any, *_: Any) -> None:
        trainer.save_checkpoint(self.path)
