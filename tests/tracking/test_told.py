"""Trackers beside history.csv: they have its rows, once each, whatever happens, and they never cost a run."""

import json
import logging
import os
import pty
import select
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import told
from forked import ended, forked, killed, on_batch, running
from resnet_lab.cli import main
from resnet_lab.config.schema import CheckpointConfig, LoggerConfig, TrainConfig
from resnet_lab.runs.checkpoints import Checkpoints
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder
from wandb_server import KEY, WandbServer

MakeConfig = Callable[..., TrainConfig]


@pytest.fixture
def folder(make_config: MakeConfig) -> RunFolder:
    logger = LoggerConfig(name="wandb", tags=["a tag"])
    return RunFolder.create(make_config(logger=logger, name="tests/of_loggers"))


def test_offline_run_tells_what_the_run_was_what_it_scored_and_that_it_finished(folder: RunFolder) -> None:
    record = execute(folder.path)
    [records] = told.offline_runs(folder.path)
    assert told.offline_rows(folder) == [told.rows(folder)]
    [run] = records["run"]
    assert run["run_id"] == told.run_id(folder)
    assert run["run_id"].startswith(record["hash"])
    assert run["resume"] is True  # resume="allow"
    assert (run["run_group"], run["job_type"], run["project"]) == ("tests/of_loggers", "train", "resnet-lab")
    assert run["display_name"] == f"resnet-8-width_4-s0-{run['run_id'][-5:]}"
    assert run["tags"] == ["digits", "residual", "basic", "shortcut A", "depth 8", "a tag"]
    config = run["config"]["update"] | told.merged(records, "config")
    assert config["recipe"]["lr"] == record["config"]["recipe"]["lr"]
    assert config["parameters"] == record["model"]["parameters"]
    assert not {"logger", "callbacks", "runs_root", "run_dir", "environment"} & config.keys()
    summary = told.merged(records, "summary")
    assert summary["test/error"] == record["last"]["test/error"]
    assert summary["val/error"] == {"min": record["best"]["val/error"]}
    assert summary["train_seconds"] == record["cost"]["train_seconds"]
    assert records["exit"][0].get("exit_code", 0) == 0


def test_failed_run_is_closed_as_failed(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(trainer: Any) -> None:
        if trainer.global_step == 7:
            raise RuntimeError("a cable was pulled")

    on_batch(monkeypatch, fail)
    assert execute(folder.path)["state"] == "failed"
    [records] = told.offline_runs(folder.path)
    assert records["exit"][0]["exit_code"] == 1
    assert told.merged(records, "summary")["error"] == "a cable was pulled"
    assert told.offline_rows(folder) == [told.rows(folder)]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_and_resumed_run_has_the_rows_of_its_history_once_each_offline(
    folder: RunFolder, moment: str
) -> None:
    killed(folder, moment, 10)
    execute(folder.path)
    assert told.offline_rows(folder) == [told.rows(folder)]
    assert [row["epoch"] for row in told.rows(folder)] == [1, 2, 3]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_and_resumed_run_has_the_rows_of_its_history_once_each_online(
    folder: RunFolder, moment: str, server: WandbServer
) -> None:
    killed(folder, moment, 10)
    record = execute(folder.path)
    run = server.runs[told.run_id(folder)]
    assert told.plain(run.history) == told.rows(folder)
    assert run.summary["test/error"] == record["last"]["test/error"]
    assert run.exit_code == 0
    assert list(server.runs) == [told.run_id(folder)]


def terminated(folder: RunFolder, iteration: int) -> None:
    """Train in a forked process that gets SIGTERM at the end of an epoch."""

    def train() -> None:
        write = Checkpoints.write

        def writing(self: Checkpoints, trainer: Any) -> None:
            write(self, trainer)
            if trainer.global_step == iteration:
                os.kill(os.getpid(), signal.SIGTERM)

        Checkpoints.write = writing  # type: ignore[method-assign]
        execute(folder.path)

    assert ended(forked(train)) == 128 + signal.SIGTERM


def test_run_that_sigterm_ends_has_told_its_last_epoch_and_goes_on_offline(folder: RunFolder) -> None:
    terminated(folder, 10)
    assert told.offline_rows(folder) == [told.rows(folder)]
    assert [row["epoch"] for row in told.rows(folder)] == [1, 2]
    execute(folder.path)
    assert told.offline_rows(folder) == [told.rows(folder)]


def test_run_that_sigterm_ends_has_told_its_last_epoch_and_goes_on_online(
    folder: RunFolder, server: WandbServer
) -> None:
    terminated(folder, 10)
    run = server.runs[told.run_id(folder)]
    assert told.plain(run.history) == told.rows(folder)
    assert [row["epoch"] for row in told.rows(folder)] == [1, 2]
    assert run.exit_code == 1
    execute(folder.path)
    assert told.plain(run.history) == told.rows(folder)
    assert (run.exit_code, run.summary.get("error")) == (0, None)


def test_broken_files_of_an_earlier_start_are_never_in_the_way(folder: RunFolder) -> None:
    killed(folder, "after", 5)
    told.settled(folder)
    for number, content in enumerate((b"", b":W&B\x00\x00\x00", b"\x00" * 4000)):
        broken = folder.path / "wandb" / f"offline-run-20200101_00000{number}-{told.run_id(folder)}"
        broken.mkdir(parents=True)
        (broken / f"run-{told.run_id(folder)}.wandb").write_bytes(content)
    execute(folder.path)
    assert told.offline_rows(folder) == [told.rows(folder)]


def test_what_wandb_sync_has_sent_is_not_written_again(folder: RunFolder) -> None:
    killed(folder, "after", 10)
    told.settled(folder)
    [sent] = told.offline_rows(folder)
    assert [row["epoch"] for row in sent] == [1]
    [file] = (folder.path / "wandb").glob("offline-run-*/*.wandb")
    file.with_name(f"{file.name}.synced").touch()
    execute(folder.path)
    rows = [row for each in told.offline_rows(folder) for row in each]
    assert sorted(rows, key=lambda row: row["epoch"]) == told.rows(folder)


def test_each_folder_has_a_run_of_its_own_and_so_has_one_that_was_deleted(make_config: MakeConfig) -> None:
    ids, names = [], []
    for place in ("one", "two", "one"):
        config = make_config(logger=LoggerConfig(name="wandb"), recipe={"epochs": 1}, run_dir=place)
        folder = RunFolder.create(config)
        execute(folder.path)
        [records] = told.offline_runs(folder.path)
        ids.append(records["run"][0]["run_id"])
        names.append(records["run"][0]["display_name"])
        if place == "one":
            shutil.rmtree(place)
    assert len(set(ids)) == len(set(names)) == 3


def test_nothing_waits_at_a_prompt_where_there_is_a_terminal_and_no_key(folder: RunFolder) -> None:
    def train() -> None:
        terminal = os.open(name_of_terminal, os.O_RDWR)
        for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
            os.dup2(terminal, descriptor)
            setattr(sys, name, os.fdopen(descriptor, "r" if name == "stdin" else "w", buffering=1))
        assert sys.stdin.isatty()
        execute(folder.path)

    ours, theirs = pty.openpty()
    name_of_terminal = os.ttyname(theirs)
    pid = forked(train)
    shown = b""
    while running(pid):
        if select.select([ours], [], [], 0.1)[0]:
            shown += os.read(ours, 65536)
    while select.select([ours], [], [], 0.1)[0]:
        shown += os.read(ours, 65536)
    assert (folder.record() or {})["state"] == "finished"
    assert b"W&B is offline (no key: set WANDB_API_KEY" in shown
    assert b"Enter your choice" not in shown
    for descriptor in (ours, theirs):
        os.close(descriptor)


def test_server_that_is_not_there_costs_no_run(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    assert execute(folder.path)["state"] == "finished"
    shown = capfd.readouterr().out
    assert "W&B is offline (cannot reach 127.0.0.1: Connection refused)" in shown
    assert f"resnet-lab sync {folder.path}" in shown
    assert told.offline_rows(folder) == [told.rows(folder)]


@pytest.mark.parametrize("status", [400, 401, 404])
def test_server_that_refuses_the_run_is_told_in_one_line_and_costs_no_run(
    status: int, folder: RunFolder, server: WandbServer, capfd: pytest.CaptureFixture[str]
) -> None:
    server.refuse = status
    assert execute(folder.path)["state"] == "finished"
    [line] = [line for line in capfd.readouterr().out.splitlines() if "W&B" in line]
    assert line.startswith("W&B is offline (")
    assert not {"{", "}", '"'} & set(line)
    assert told.offline_rows(folder) == [told.rows(folder)]


@pytest.mark.usefixtures("silent_server")
def test_server_that_never_answers_costs_bounded_time_and_no_run(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "2")
    monkeypatch.setenv("WANDB_FINISH_TIMEOUT", "2")
    began = time.monotonic()
    assert execute(folder.path)["state"] == "finished"
    assert time.monotonic() - began < 45
    assert "W&B is offline (" in capfd.readouterr().out
    assert told.offline_rows(folder) == [told.rows(folder)]


def test_server_that_is_lost_during_a_run_costs_bounded_time_and_no_result(
    folder: RunFolder, server: WandbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_FINISH_TIMEOUT", "3")

    def lose(trainer: Any) -> None:
        if trainer.global_step == 7:
            while not server.runs:
                time.sleep(0.05)
            server.lose()

    on_batch(monkeypatch, lose)
    began = time.monotonic()
    assert execute(folder.path)["state"] == "finished"
    assert time.monotonic() - began < 45
    assert told.offline_rows(folder) == [told.rows(folder)]
    back = WandbServer()
    monkeypatch.setenv("WANDB_BASE_URL", back.address)
    assert main(["sync", str(folder.path)]) == 0
    assert told.plain(back.runs[told.run_id(folder)].history) == told.rows(folder)
    back.lose()


def test_key_of_the_env_file_is_used_and_written_nowhere(
    folder: RunFolder, silent_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.delenv("WANDB_BASE_URL")
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "2")
    monkeypatch.setenv("WANDB_FINISH_TIMEOUT", "2")
    Path(".env").write_text(f"# a comment\nWANDB_API_KEY={KEY}\nWANDB_BASE_URL='{silent_server}'\nOTHER=1\n")

    def train() -> None:
        logging.basicConfig(level=logging.DEBUG)
        record = execute(folder.path)
        assert record["state"] == "finished"
        assert os.environ["WANDB_API_KEY"] == KEY
        assert "OTHER" not in os.environ

    assert ended(forked(train)) == 0
    files = [path for path in folder.path.rglob("*") if path.is_file()]
    assert len(files) > 8
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def test_tensorboard_has_the_rows_of_the_history_and_its_hyper_parameters(make_config: MakeConfig) -> None:
    callbacks = {"checkpoint": CheckpointConfig(every_iterations=2)}
    logger = LoggerConfig(names=["tensorboard"])
    folder = RunFolder.create(make_config(logger=logger, callbacks=callbacks))
    killed(folder, "after", 8)
    record = execute(folder.path)
    events = EventAccumulator(str(folder.path / "tensorboard"))
    events.Reload()
    rows = told.rows(folder)
    for name in rows[0].keys() - {"iteration"}:
        scalars = events.Scalars(name)
        assert [each.step for each in scalars] == [row["iteration"] for row in rows], name
        assert [each.value for each in scalars] == pytest.approx([row[name] for row in rows], rel=1e-5), name
    [final] = events.Scalars("final/test/error")
    assert final.value == pytest.approx(record["last"]["test/error"])
    assert events.PluginTagToContent("hparams").keys() == {
        "_hparams_/experiment",
        "_hparams_/session_start_info",
        "_hparams_/session_end_info",
    }


def test_several_loggers_are_several(make_config: MakeConfig) -> None:
    logger = LoggerConfig(names=["wandb", "tensorboard"])
    folder = RunFolder.create(make_config(logger=logger, recipe={"epochs": 1}))
    execute(folder.path)
    assert told.offline_rows(folder) == [told.rows(folder)]
    assert list((folder.path / "tensorboard").glob("events.*"))


def test_disabled_wandb_leaves_nothing(make_config: MakeConfig) -> None:
    logger = LoggerConfig(name="wandb", mode="disabled")
    folder = RunFolder.create(make_config(logger=logger, recipe={"epochs": 1}))
    execute(folder.path)
    assert not [path for path in folder.path.iterdir() if "wandb" in path.name]


def test_damaged_note_of_the_id_costs_no_run(folder: RunFolder) -> None:
    (folder.path / "wandb.json").write_text("{")
    assert execute(folder.path)["state"] == "finished"
    assert json.loads((folder.path / "wandb.json").read_text())["id"]


AGENT = {  # docs/tracking.md shows it
    "program": "resnet-lab",
    "command": ["${program}", "train", "${args_no_hyphens}"],
}


def agents_command(arguments: dict[str, Any]) -> list[str]:
    """What W&B's agent starts, made by its own code."""
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

    given = {"args": {name: {"value": value} for name, value in arguments.items()}}
    parts = create_sweep_command_args(given) | {"program": [AGENT["program"]]}
    command: list[str] = []
    for part in create_sweep_command(list(AGENT["command"])):
        command += parts[part[2:-1]] if part.startswith("${") else [part]
    return command


def test_a_run_that_an_agent_of_a_wandb_sweep_starts_is_the_run_that_the_sweep_knows(
    server: WandbServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    chosen = {"data": "digits", "model.depth": 8, "model.width": 4, "recipe.epochs": 1, "recipe.lr": 0.05}
    program, *arguments = agents_command({**chosen, "trainer.progress": False, "logger": "wandb"})
    assert program == "resnet-lab"
    for name, value in (("SWEEP_ID", "a1b2c3"), ("RUN_ID", "x9y8z7")):
        monkeypatch.setenv(f"WANDB_{name}", value)
    assert main([*arguments, f"run_dir={tmp_path / 'run'}", "data.train_images=160"]) == 0
    run = server.runs["x9y8z7"]
    assert list(server.runs) == ["x9y8z7"]
    assert told.plain(run.history) == told.rows(RunFolder(tmp_path / "run"))
    assert run.config["recipe"]["lr"] == 0.05
    assert run.exit_code == 0
