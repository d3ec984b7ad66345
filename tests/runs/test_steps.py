"""What is logged while a run trains: steps.csv, and what callbacks and modules log through Lightning's logger."""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import told
from forked import killed
from own_project import SMALL, project
from resnet_lab.config.request import compose
from resnet_lab.errors import UserError
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder
from resnet_lab.tracking.rows import all_rows
from resnet_lab.training import run_logger

CODE = """
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger


class Logs(Callback):
    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        module.log("weight", next(module.parameters()).norm(), on_step=True, on_epoch=False)

    def on_train_epoch_end(self, trainer, module):
        module.log("own/epoch", float(trainer.current_epoch))

    def on_validation_end(self, trainer, module):
        trainer.logger.log_metrics({"direct": 7.0})

    def on_fit_start(self, trainer, module):
        trainer.logger.log_hyperparams({"mine": 3})


class OwnLogger(Logger):
    # What those of MLflow, Aim and others are to Lightning.

    name, version = "own", "1"

    def __init__(self, file):
        super().__init__()
        self.file = file

    def log_metrics(self, metrics, step=None):
        self._write("metrics", metrics)

    def log_hyperparams(self, params, *args, **kwargs):
        self._write("params", params)

    def _write(self, kind, names):
        with open(self.file, "a") as file:
            print(kind, *sorted(names), file=file)


class Asks(Callback):
    def on_fit_start(self, trainer, module):
        trainer.logger.experiment.add_scalar("x", 1)
"""
LIGHTNING = "lightning.pytorch.callbacks"
TIMED = ("images_per_second", "seconds")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with project(tmp_path, monkeypatch, {"my_logs": CODE}) as path:
        yield path
    sys.modules.pop("my_logs", None)


def rows(folder: RunFolder, name: str) -> list[dict[str, str]]:
    with (folder.path / name).open(newline="") as file:
        return [
            {key: value for key, value in row.items() if key not in TIMED} for row in csv.DictReader(file)
        ]


def speeds(folder: RunFolder) -> list[float]:
    with (folder.path / "steps.csv").open(newline="") as file:
        return [float(row["images_per_second"]) for row in csv.DictReader(file)]


def run(*asked: str) -> RunFolder:
    return RunFolder.create(compose([*SMALL, "logger.every_steps=1", *asked]))


def test_steps_have_loss_rate_speed_and_images_seen() -> None:
    here = run("logger.gradient_norm=true")
    record = execute(here.path)
    found = rows(here, "steps.csv")
    assert [int(row["iteration"]) for row in found] == list(range(1, 10))
    assert [int(row["images"]) for row in found] == [32 * each for each in range(1, 10)]
    assert float(found[-1]["lr"]) == pytest.approx(float(rows(here, "history.csv")[-1]["lr"]))
    assert all(float(row["gradient_norm"]) > 0 for row in found)
    assert all(speed > 0 for speed in speeds(here))
    epochs: list[Any] = [found[:3], found[3:6], found[6:]]
    means = [sum(float(row["train/loss"]) for row in epoch) / 3 for epoch in epochs]
    assert means == pytest.approx([float(row["train/loss"]) for row in rows(here, "history.csv")], rel=1e-4)
    assert record.hyperparameters == {}


def test_steps_are_killed_and_resumed_as_the_history_is() -> None:
    logs = "callbacks.extra={logs: {_target_: my_logs.Logs}}"
    whole, here = run("name=whole", logs), run(logs)
    execute(whole.path)
    killed(here, "after", 4)
    execute(here.path)
    for name in ("steps.csv", "history.csv"):
        assert rows(here, name) == rows(whole, name)
    assert not [speed for speed in speeds(here) if speed <= 0]


def test_what_callbacks_log_has_its_column_in_the_files_and_in_wandb() -> None:
    callbacks = {
        "logs": "my_logs.Logs",
        "rate": f"{LIGHTNING}.LearningRateMonitor",
        "device": f"{LIGHTNING}.DeviceStatsMonitor",
    }
    named = ", ".join(f"{name}: {{_target_: {path}}}" for name, path in callbacks.items())
    here = run(f"callbacks.extra={{{named}}}", "logger=wandb", "logger.mode=offline")
    assert execute(here.path).hyperparameters == {"mine": 3}
    steps, epochs = rows(here, "steps.csv"), rows(here, "history.csv")
    assert all(row["weight"] and row["lr-SGD"] for row in steps)
    assert [float(row["own/epoch"]) for row in epochs] == [0, 1, 2]
    assert {row["direct"] for row in epochs} == {"7"}
    assert "weight" not in epochs[0]
    [sent] = told.offline_rows(here)
    assert sent == all_rows(here.path)
    assert {"step/weight", "step/lr-SGD"} <= sent[0].keys()
    assert any(name.startswith("step/DeviceStatsMonitor") for row in sent for name in row)
    assert "own/epoch" in sent[-1]


@pytest.mark.parametrize(
    "length", [(), ("recipe.epochs=null", "recipe.iterations=9", "recipe.schedule=step")]
)
def test_a_long_run_has_rows_further_apart(length: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_logger, "MOST", 3)
    here = run(*length)
    execute(here.path)
    assert [int(row["iteration"]) for row in rows(here, "steps.csv")] == [3, 6, 9]


def test_trackers_take_steps_before_the_row_of_their_epoch() -> None:
    here = run()
    execute(here.path)
    found = all_rows(here.path)
    assert [row["iteration"] for row in found] == [1, 2, 3, 3, 4, 5, 6, 6, 7, 8, 9, 9]
    assert "step/train/loss" in found[2]
    assert "train/loss" in found[3]


def test_no_steps_without_them() -> None:
    here = run("logger.every_steps=0")
    execute(here.path)
    assert not (here.path / "steps.csv").exists()


def test_what_no_run_has_is_one_line() -> None:
    record = execute(run("callbacks.extra={asks: {_target_: my_logs.Asks}}").path)
    assert record.error is not None
    assert record.error.message.startswith("trainer.logger.experiment.add_scalar: use self.log")


def test_lightning_loggers_of_ones_own_are_told_too(tmp_path: Path) -> None:
    csv_logger = f"{{_target_: lightning.pytorch.loggers.CSVLogger, save_dir: {tmp_path}, name: theirs}}"
    own = f"{{_target_: my_logs.OwnLogger, file: {tmp_path / 'own.txt'}}}"
    logs = "callbacks.extra={logs: {_target_: my_logs.Logs}}"
    here = run(f"logger.extra={{theirs: {csv_logger}, own: {own}}}", logs)
    record = execute(here.path)
    assert record is not None
    assert record.error is None
    columns = {"train/loss", "step/train/loss", "step/lr", "step/images", "weight", "own/epoch", "test/error"}
    assert columns <= set((tmp_path / "theirs/version_0/metrics.csv").read_text().split("\n")[0].split(","))
    given = [line.split() for line in (tmp_path / "own.txt").read_text().splitlines()]
    assert columns <= {name for kind, *names in given if kind == "metrics" for name in names}
    with pytest.raises(UserError, match="Logger is needed"):
        run_logger.own_loggers({"none": {"_target_": "torch.nn.ReLU"}})
