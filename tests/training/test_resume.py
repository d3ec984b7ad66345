"""A run that was stopped anywhere and resumed ends as the run that was not, bit for bit on the CPU."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

import toy_training as toy
from resnet_lab.training.averaging import MovingAverage
from resnet_lab.training.callbacks import History
from resnet_lab.training.probes import GradientNorms, LayerResponses


def run(folder: Path, recipe: Any, every: int, *, kill_at: int | None = None, resume: bool = False) -> Any:
    """Train with a checkpoint every few steps and at the end of each epoch, as runs do."""
    callbacks: list[Any] = [
        History(folder / "history.csv"),
        LayerResponses(folder / "layer_responses.csv"),
        GradientNorms(folder / "gradient_norms.csv"),
        toy.Save(folder / "last.ckpt", every),
    ]
    if recipe.ema:
        callbacks.append(MovingAverage(recipe.ema))
    if kill_at is not None:
        callbacks.append(toy.KillAt(kill_at))
    checkpoint = folder / "last.ckpt" if resume and (folder / "last.ckpt").exists() else None
    backbone = toy.net(dropout=0.2)
    return toy.fit(recipe, *callbacks, backbone=backbone, checkpoint=checkpoint)


def rows(path: Path) -> list[str]:
    """A table without the column of seconds, the one thing that two runs never share."""
    lines = [line.split(",") for line in path.read_text().splitlines()]
    return [",".join(line[:-1] if "seconds" in lines[0] else line) for line in lines]


@pytest.fixture(scope="module")
def whole_runs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Each kind of run once, undisturbed: its folder and its module."""

    @cache
    def whole(kind: str) -> Any:
        folder = tmp_path_factory.mktemp(kind)
        return folder, run(folder, toy.recipe(**RECIPES[kind]), every=4)[0]

    return whole


RECIPES: dict[str, dict[str, Any]] = {
    "epochs": {"schedule": "one_cycle"},
    "iterations": {"schedule": "cosine", "iterations": 16},
    "everything": {"ema": 0.9, "mixup": 0.2, "cutmix": 1.0, "label_smoothing": 0.1, "clip": 1.0},
    "accumulate": {"accumulate": 2},
}


@pytest.mark.parametrize("kind", RECIPES)
@pytest.mark.parametrize("kill_at", [1, 8, 12])
def test_killed_run_ends_as_the_run_that_was_not(
    kind: str, kill_at: int, tmp_path: Path, whole_runs: Any
) -> None:
    recipe = toy.recipe(**RECIPES[kind])  # 6 steps an epoch, 3 when accumulating, 3 epochs
    whole, expected = whole_runs(kind)
    with pytest.raises(toy.Killed):
        run(tmp_path, recipe, every=4, kill_at=kill_at)
    resumed, _ = run(tmp_path, recipe, every=4, resume=True)
    assert torch.equal(toy.weights(resumed), toy.weights(expected))
    for table in ("history.csv", "layer_responses.csv", "gradient_norms.csv"):
        assert rows(tmp_path / table) == rows(whole / table), table
