"""One run as W&B shows it: notes, axes, alerts, the code that made it, and its checkpoints."""

import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from wandb.sdk.lib import run_stopping

import told
from forked import killed
from resnet_lab.cli import main
from resnet_lab.config.schema import LoggerConfig, TrainConfig
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder
from resnet_lab.tracking import wandb_answers, wandb_run
from resnet_lab.tracking.facts import facts_of
from resnet_lab.tracking.rows import all_rows
from resnet_lab.tracking.wandb_run import WandbRun, close, id_of
from run_folders import configured, finished, interrupted, measure
from wandb_server import KeptRun, WandbServer

ONLINE = LoggerConfig(name="wandb", project="p", notes="with a warm-up")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunFolder]:
    """An interrupted run that has a row of steps."""
    here = interrupted(configured(tmp_path / "runs", **{"objective.mode": "max"}))
    (here.path / "steps.csv").write_text("iteration,epoch,images,train/loss\n11,0.5,704,2.1\n")
    yield here
    close()


@pytest.fixture
def trains() -> Iterator[subprocess.Popen[bytes]]:
    """A process that stands for the run's."""
    with subprocess.Popen(["sleep", "100"]) as process:
        yield process
        process.kill()


def shown(folder: RunFolder, server: WandbServer, pid: int, **ended: Any) -> KeptRun:
    """What the server has of a run that ended so."""
    config = folder.config()
    record = finished(config, 1.0).record()
    assert record is not None
    facts = facts_of(config, record, folder.path)
    run = WandbRun(ONLINE, facts, folder.path, pid=pid)
    run.level(all_rows(folder.path))
    run.finish(replace(facts, **ended))
    return server.runs[told.run_id(folder)]


def test_a_run_has_notes_the_code_that_made_it_and_its_best_objective(
    folder: RunFolder, server: WandbServer, trains: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parent)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout
    run = shown(folder, server, trains.pid)
    assert run.told["notes"] == "with a warm-up"
    assert run.told["commit"] == commit.strip()
    assert "requirements.txt" in server.files
    assert server.alerts == []


def test_rows_can_be_drawn_against_iteration_epoch_and_images(folder: RunFolder) -> None:
    rows = [{name: row[name] for name in ("iteration", "epoch", "images")} for row in all_rows(folder.path)]
    assert rows == [
        {"iteration": 11, "epoch": 0.5, "images": 704},
        {"iteration": 22, "epoch": 0, "images": 0},
        {"iteration": 44, "epoch": 1, "images": 1408},
    ]


def test_a_run_that_diverges_is_an_alert(
    folder: RunFolder, server: WandbServer, trains: subprocess.Popen[bytes]
) -> None:
    run = shown(folder, server, trains.pid, error="the training loss was not finite", diverged=True)
    [alert] = server.alerts
    assert (alert["severity"], alert["text"]) == ("ERROR", "the training loss was not finite")
    assert alert["title"].endswith("diverged")
    assert run.exit_code == 1


@pytest.mark.slow  # W&B asks its server every 15 s
def test_stopping_a_run_in_the_ui_is_a_sigterm_for_the_run(
    folder: RunFolder,
    server: WandbServer,
    trains: subprocess.Popen[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sleep = run_stopping._SLEEP
    monkeypatch.setattr(run_stopping, "_SLEEP", lambda _: sleep(0.1))
    monkeypatch.setitem(wandb_run.SETTINGS, "x_file_stream_transmit_interval", 0.1)
    config = folder.config()
    record = finished(config, 1.0).record()
    assert record is not None
    run = WandbRun(ONLINE, facts_of(config, record, folder.path), folder.path, pid=trains.pid)
    server.stopped = True
    run.level(all_rows(folder.path))
    assert trains.wait(timeout=60) == -signal.SIGTERM
    run._run.finish()


def test_measurements_of_layers_are_tables(tmp_path: Path, server: WandbServer) -> None:
    folder = finished(configured(tmp_path / "runs"), 1.0)
    measure(folder, "gradient_norms", {1: [0.5, 0.25]})
    assert main(["sync", str(folder.path)]) == 0
    [table] = [content for name, content in server.files.items() if "gradient_norms" in name]
    assert b'[1,2,"layer1.2.conv1",0.25]' in table


def test_another_machine_resumes_from_the_checkpoint_that_was_uploaded(
    make_config: Callable[..., TrainConfig], tmp_path: Path, server: WandbServer
) -> None:
    logger = LoggerConfig(name="wandb", checkpoints=True)
    folder = RunFolder.create(make_config(logger=logger))
    killed(folder, "after", 10)
    told.settled(folder)
    [uploaded] = [each for each in server.artifacts if each["artifactTypeName"] == "checkpoint"]
    assert uploaded["artifactCollectionName"] == f"checkpoint-{told.run_id(folder)}"
    newest = folder.checkpoints / "00000010.ckpt"
    artifact = wandb_answers.checkpoint(id_of(folder.path, ""), folder.path, newest)
    elsewhere = RunFolder(tmp_path / "elsewhere")
    for name, entry in artifact.manifest.entries.items():
        (elsewhere.path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(entry.local_path, elsewhere.path / name)
    record = execute(elsewhere.path)
    assert record is not None
    assert record.resumed_from == [10]
    assert told.run_id(elsewhere) == told.run_id(folder)
    assert told.plain(server.runs[told.run_id(folder)].history) == told.rows(elsewhere)
