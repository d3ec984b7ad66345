"""Trackers beside history.csv: they have its rows, once each, whatever happens, and they never cost a run."""

import json
import logging
import os
import pty
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

import told
from documented import blocks
from forked import ended, forked, forked_server, killed, on_batch, running
from own_project import SMALL
from resnet_lab.cli import main
from resnet_lab.config.schema import CheckpointConfig, LoggerConfig, ObjectiveConfig, TrainConfig
from resnet_lab.runs.checkpoints import Checkpoints
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder
from resnet_lab.sweeps.places import local
from resnet_lab.tracking.unsent import lost
from wandb_server import KEY, WandbServer

MakeConfig = Callable[..., TrainConfig]


@pytest.fixture
def folder(make_config: MakeConfig) -> RunFolder:
    logger = LoggerConfig(name="wandb", tags=["a tag"])
    return RunFolder.create(make_config(logger=logger, name="tests/of_loggers"))


@pytest.fixture
def brief(make_config: MakeConfig) -> RunFolder:
    """A run of one epoch."""
    return RunFolder.create(make_config(logger=LoggerConfig(name="wandb"), recipe={"epochs": 1}))


def test_offline_run_tells_what_the_run_was_what_it_scored_and_that_it_finished(folder: RunFolder) -> None:
    record = execute(folder.path)
    [records] = told.offline_runs(folder.path)
    assert told.offline_rows(folder) == [told.rows(folder)]
    [run] = records["run"]
    assert run["run_id"] == told.run_id(folder)
    assert run["run_id"].startswith(record.hash)
    assert run["resume"] is True  # resume="allow"
    assert (run["run_group"], run["job_type"], run["project"]) == ("tests/of_loggers", "train", "resnet-lab")
    assert run["display_name"] == f"resnet-8-width_4-s0-{run['run_id'][-5:]}"
    assert run["tags"] == ["digits", "residual", "basic", "shortcut A", "depth 8", "a tag"]
    config = run["config"]["update"] | told.merged(records, "config")
    assert config["recipe"]["lr"] == record.config["recipe"]["lr"]
    assert config["parameters"] == record.model.parameters
    assert {"momentum", "epochs"} <= config["recipe"].keys()
    assert not {"warmup_lr", "peak_at"} & config["recipe"].keys()  # which this recipe does not read
    assert not {"gate_bias", "shortcut_dropout"} & config["model"].keys()
    assert not {"logger", "callbacks", "runs_root", "run_dir", "environment"} & config.keys()
    summary = told.merged(records, "summary")
    assert summary["test/error"] == record.last["test/error"]
    assert summary["val/error"] == {"min": record.best["val/error"]}
    assert summary["train_seconds"] == record.cost.train_seconds
    assert records["exit"][0].get("exit_code", 0) == 0


def test_failed_run_is_closed_as_failed(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(trainer: Any) -> None:
        if trainer.global_step == 7:
            raise RuntimeError("a cable was pulled")

    on_batch(monkeypatch, fail)
    assert execute(folder.path).state == "failed"
    [records] = told.offline_runs(folder.path)
    assert records["exit"][0]["exit_code"] == 1
    assert told.merged(records, "summary")["error"] == "a cable was pulled"
    assert told.offline_rows(folder) == [told.rows(folder)]


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


def test_run_that_was_killed_and_terminated_has_the_rows_of_its_history_once_each_offline(
    folder: RunFolder,
) -> None:
    killed(folder, "before", 10)  # the second epoch has a row that no checkpoint knows
    told.settled(folder)
    assert [[row["epoch"] for row in rows] for rows in told.offline_rows(folder)] == [[1]]
    for number, content in enumerate((b"", b":W&B\x00\x00\x00", b"\x00" * 4000)):
        broken = folder.path / "wandb" / f"offline-run-20200101_00000{number}-{told.run_id(folder)}"
        broken.mkdir(parents=True)
        (broken / f"run-{told.run_id(folder)}.wandb").write_bytes(content)
    terminated(folder, 10)
    assert [row["epoch"] for row in told.rows(folder)] == [1, 2]
    assert told.offline_rows(folder) == [told.rows(folder)]
    execute(folder.path)
    assert [row["epoch"] for row in told.rows(folder)] == [1, 2, 3]
    assert told.offline_rows(folder) == [told.rows(folder)]


def test_run_that_was_killed_and_terminated_has_the_rows_of_its_history_once_each_online(
    folder: RunFolder, server: WandbServer
) -> None:
    killed(folder, "before", 10)
    terminated(folder, 10)
    run = server.runs[told.run_id(folder)]
    assert told.plain(run.history) == told.rows(folder)
    assert run.exit_code == 1
    record = execute(folder.path)
    assert told.plain(run.history) == told.rows(folder)
    assert [row["epoch"] for row in told.rows(folder)] == [1, 2, 3]
    assert run.summary["test/error"] == record.last["test/error"]
    assert (run.exit_code, run.summary.get("error")) == (0, None)
    assert list(server.runs) == [told.run_id(folder)]


def test_nothing_waits_at_a_prompt_where_there_is_a_terminal_and_no_key(brief: RunFolder) -> None:
    def train() -> None:
        terminal = os.open(name_of_terminal, os.O_RDWR)
        for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
            os.dup2(terminal, descriptor)
            setattr(sys, name, os.fdopen(descriptor, "r" if name == "stdin" else "w", buffering=1))
        assert sys.stdin.isatty()
        execute(brief.path)

    ours, theirs = pty.openpty()
    name_of_terminal = os.ttyname(theirs)
    pid = forked(train)
    shown = b""
    while running(pid):
        if select.select([ours], [], [], 0.1)[0]:
            shown += os.read(ours, 65536)
    while select.select([ours], [], [], 0.1)[0]:
        shown += os.read(ours, 65536)
    assert brief.record().state == "finished"
    assert b"W&B is offline (no key: set WANDB_API_KEY" in shown
    assert b"Enter your choice" not in shown
    for descriptor in (ours, theirs):
        os.close(descriptor)


@pytest.mark.parametrize("there", [False, True])
def test_server_that_takes_no_run_is_told_in_one_line_and_costs_no_run(
    there: bool, brief: RunFolder, server: WandbServer, capfd: pytest.CaptureFixture[str]
) -> None:
    server.refuse = 401
    if not there:
        server.lose()
    assert execute(brief.path).state == "finished"
    [line] = [line for line in capfd.readouterr().out.splitlines() if "W&B" in line]
    why = "the server says no" if there else "cannot reach 127.0.0.1: Connection refused"
    assert line == f"W&B is offline ({why}): resnet-lab sync {brief.path} sends it"
    assert told.offline_rows(brief) == [told.rows(brief)]


def test_server_that_never_answers_costs_bounded_time_and_the_key_for_it_is_written_nowhere(
    brief: RunFolder,
    silent_server: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.delenv("WANDB_BASE_URL")
    waits = "WANDB_INIT_TIMEOUT=1\nWANDB_FINISH_TIMEOUT=1\n"
    Path(".env").write_text(
        f"# a comment\nWANDB_API_KEY={KEY}\nWANDB_BASE_URL='{silent_server}'\nOTHER=1\n{waits}"
    )

    def train() -> None:
        logging.basicConfig(level=logging.DEBUG)
        assert execute(brief.path).state == "finished"
        assert os.environ["WANDB_API_KEY"] == KEY
        assert "OTHER" not in os.environ

    began = time.monotonic()
    assert ended(forked(train)) == 0
    assert time.monotonic() - began < 45
    assert "W&B is offline (" in capfd.readouterr().out
    assert told.offline_rows(brief) == [told.rows(brief)]
    files = [path for path in brief.path.rglob("*") if path.is_file()]
    assert len(files) > 8
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def test_server_that_is_lost_during_a_run_costs_bounded_time_and_no_result(
    folder: RunFolder,
    server: WandbServer,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("WANDB_FINISH_TIMEOUT", "1")

    def lose(trainer: Any) -> None:
        if trainer.global_step == 7:
            while not server.runs:
                time.sleep(0.05)
            server.lose()

    on_batch(monkeypatch, lose)
    began = time.monotonic()
    assert execute(folder.path).state == "finished"
    assert time.monotonic() - began < 45
    assert "W&B was lost (cannot reach 127.0.0.1" in capfd.readouterr().out
    assert told.offline_rows(folder) == [told.rows(folder)]
    [line] = lost([folder.path])
    assert line == f"1 of 1 run is not in W&B: resnet-lab sync {folder.path.parent}"
    back = WandbServer()
    monkeypatch.setenv("WANDB_BASE_URL", back.address)
    assert main(["sync", str(folder.path)]) == 0
    assert "W&B is level with 1 run: 3 rows were sent" in capfd.readouterr().out
    assert told.plain(back.runs[told.run_id(folder)].history) == told.rows(folder)
    assert list(lost([folder.path])) == []
    back.lose()


def test_server_that_answers_slowly_has_every_row_and_stops_no_run(
    folder: RunFolder, server: WandbServer, capfd: pytest.CaptureFixture[str]
) -> None:
    server.delay = 0.3
    assert execute(folder.path).state == "finished"
    assert "W&B" not in capfd.readouterr().out
    assert told.plain(server.runs[told.run_id(folder)].history) == told.rows(folder)
    assert list(lost([folder.path])) == []


def test_best_value_of_an_objective_that_should_be_high_is_its_highest(make_config: MakeConfig) -> None:
    objective = ObjectiveConfig("test/loss", "max")
    folder = RunFolder.create(make_config(logger=LoggerConfig(name="wandb"), objective=objective))
    execute(folder.path)
    [records] = told.offline_runs(folder.path)
    losses = [row["val/loss"] for row in told.rows(folder)]
    assert told.merged(records, "summary")["val/loss"] == {"max": max(losses)}


def test_several_loggers_have_the_rows_of_the_history_and_tensorboard_the_hyper_parameters(
    make_config: MakeConfig,
) -> None:
    callbacks = {"checkpoint": CheckpointConfig(every_iterations=2)}
    logger = LoggerConfig(names=["wandb", "tensorboard"])
    folder = RunFolder.create(make_config(logger=logger, callbacks=callbacks))
    killed(folder, "after", 8)
    record = execute(folder.path)
    assert told.offline_rows(folder) == [told.rows(folder)]
    events = EventAccumulator(str(folder.path / "tensorboard"))
    events.Reload()
    rows = told.rows(folder)
    for name in rows[0].keys() - {"iteration"}:
        scalars = events.Tensors(name)
        assert [each.step for each in scalars] == [row["iteration"] for row in rows], name
        values = [float(make_ndarray(each.tensor_proto)) for each in scalars]
        assert values == pytest.approx([row[name] for row in rows], rel=1e-5), name
    [final] = events.Tensors("final/test/error")
    assert float(make_ndarray(final.tensor_proto)) == pytest.approx(record.last["test/error"])
    assert events.PluginTagToContent("hparams").keys() == {"_hparams_/session_start_info"}


def test_disabled_wandb_leaves_nothing(make_config: MakeConfig) -> None:
    logger = LoggerConfig(name="wandb", mode="disabled")
    folder = RunFolder.create(make_config(logger=logger, recipe={"epochs": 1}))
    execute(folder.path)
    assert not [path for path in folder.path.iterdir() if "wandb" in path.name]


def agents_command(arguments: dict[str, Any]) -> list[str]:
    """What W&B's agent starts of the sweep that the docs show, made by its own code."""
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

    [shown] = [yaml.safe_load(each.text) for each in blocks("docs/tracking.md") if each.language == "yaml"]
    given = {"args": {name: {"value": value} for name, value in arguments.items()}}
    parts = create_sweep_command_args(given) | {"program": [shown["program"]]}
    command: list[str] = []
    for part in create_sweep_command(shown["command"]):
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


@pytest.mark.slow
def test_a_sweep_ends_with_how_many_runs_wandb_lacks(
    server: WandbServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(local, "server_process", forked_server)
    server.lose()
    assert main(["train", "-m", *SMALL, "recipe.epochs=1", "logger=wandb", "name=lost", "seed=0,1"]) == 0
    assert "2 of 2 runs are not in W&B: resnet-lab sync runs/lost" in capfd.readouterr().out
    back = WandbServer()
    monkeypatch.setenv("WANDB_BASE_URL", back.address)
    command = ["train", "-m", *SMALL, "recipe.epochs=1", "logger=wandb", "name=there", "seed=0,1"]
    monkeypatch.setattr(sys, "argv", ["/usr/bin/resnet-lab", *command])
    assert main(command) == 0
    assert "not in W&B" not in capfd.readouterr().out
    assert sorted(run.job_type for run in back.runs.values()) == ["report", "train", "train"]
    assert [alert["title"] for alert in back.alerts] == ["there ended"]
    programs = {run.told["program"] for run in back.runs.values() if run.job_type == "train"}
    assert programs == {"resnet-lab"}
    metadata = json.loads(back.files["wandb-metadata.json"])
    assert metadata["args"] == command
    back.lose()
