"""W&B and TensorBoard beside history.csv: what they are told, and that no logger ever costs a run."""

import json
import logging
import os
import pty
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from forked import ended, forked, killed, on_batch, running
from resnet_lab.config.schema import CheckpointConfig, LoggerConfig, TrainConfig
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder
from resnet_lab.tracking import loggers
from wandb_server import WandbServer

MakeConfig = Callable[..., TrainConfig]

KEY = "0123456789abcdef0123456789abcdef01234567"  # of the right shape, and of nobody


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of whoever runs the tests: no key, no settings, no .env."""
    for name in [name for name in os.environ if name.startswith("WANDB_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "wandb_home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def service_of_its_own() -> Iterator[None]:
    """W&B's helper process ends with the test."""
    yield
    wandb.teardown()


@pytest.fixture
def folder(make_config: MakeConfig) -> RunFolder:
    logger = LoggerConfig(name="wandb", tags=["a tag"])
    return RunFolder.create(make_config(logger=logger, name="tests/of_loggers"))


@pytest.fixture
def silent_server() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def with_key(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", address)


def offline_runs(folder: RunFolder) -> list[dict[str, list[Any]]]:
    """The records of each offline run of the folder, by their type, as `wandb leet inspect` reads them."""
    leet = [str(Path(sys.executable).with_name("wandb")), "leet", "inspect", "--json"]
    runs = []
    for path in sorted((folder.path / "wandb").glob("*run-*/*.wandb")):
        text = subprocess.run([*leet, str(path)], capture_output=True, text=True, check=True).stdout
        records: dict[str, list[Any]] = {"name": [path.stem]}  # which `wandb sync` takes the id from
        for line in map(json.loads, text.splitlines()):
            records.setdefault(line["type"], []).append(line[line["type"]])
        runs.append(records)
    return runs


def summary(records: dict[str, list[Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for update in records["summary"]:
        merged |= update["update"]
    return merged


def test_offline_run_tells_what_the_run_was_what_it_scored_and_that_it_finished(folder: RunFolder) -> None:
    record = execute(folder.path)
    [records] = offline_runs(folder)
    [run] = records["run"]
    assert run["run_id"] == f"tests-of_loggers-{record['hash']}"
    assert run["resume"] is True  # resume="allow"
    assert (run["run_group"], run["job_type"], run["project"]) == ("tests/of_loggers", "train", "resnet-lab")
    assert run["display_name"] == "resnet-8-width_4-s0"
    assert run["tags"] == ["digits", record["model"]["kind"], "a tag"]
    config = run["config"]["update"]
    assert config["recipe"]["lr"] == record["config"]["recipe"]["lr"]
    assert config["environment"] == record["environment"]
    assert {"torch", "lightning", "python", "git_commit", "git_dirty"} <= config["environment"].keys()
    told = summary(records)
    assert (told["parameters"], told["multiply_adds"]) == (
        record["model"]["parameters"],
        record["model"]["multiply_adds"],
    )
    assert told["last/val/error"] == record["last"]["val/error"]
    assert told["last/test/error"] == record["last"]["test/error"]
    assert told["best/val/error"] == record["best"]["val/error"]
    assert sum("train/loss" in each["item"] for each in records["history"]) == 3  # epochs
    assert records["exit"][0].get("exit_code", 0) == 0


def test_failed_run_is_closed_as_failed(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(trainer: Any) -> None:
        if trainer.global_step == 7:
            raise RuntimeError("a cable was pulled")

    on_batch(monkeypatch, fail)
    assert execute(folder.path)["state"] == "failed"
    [records] = offline_runs(folder)
    assert records["exit"][0]["exit_code"] == 1
    assert summary(records)["error"] == "a cable was pulled"


def test_resumed_run_is_the_same_run_of_wandb(folder: RunFolder) -> None:
    killed(folder, "after", 5)
    record = execute(folder.path)
    first, second = offline_runs(folder)
    assert first["name"] == second["name"] == [f"run-tests-of_loggers-{record['hash']}"]
    assert second["run"][0]["resume"] is True
    assert "exit" not in first
    assert summary(second)["last/test/error"] == record["last"]["test/error"]
    epochs = [each["item"]["epoch"] for each in second["history"] if "train/loss" in each["item"]]
    assert epochs == [1, 2]


def test_two_runs_of_one_process_stay_two(make_config: MakeConfig) -> None:
    logger = LoggerConfig(name="wandb")
    folders = [RunFolder.create(make_config(logger=logger, seed=seed)) for seed in (0, 1)]
    records = [execute(each.path) for each in folders]
    runs = [offline_runs(each) for each in folders]
    assert [len(each) for each in runs] == [1, 1]
    assert len({run["run"][0]["run_id"] for [run] in runs}) == 2
    for [run], record in zip(runs, records, strict=True):
        assert summary(run)["last/test/loss"] == record["last"]["test/loss"]


def test_nothing_waits_at_a_prompt_where_there_is_a_terminal_and_no_key(folder: RunFolder) -> None:
    def train() -> None:
        terminal = os.open(name_of_terminal, os.O_RDWR)
        for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
            os.dup2(terminal, descriptor)
            setattr(sys, name, os.fdopen(descriptor, "r" if name == "stdin" else "w", buffering=1))
        assert sys.stdin.isatty()
        execute(folder.path)
        wandb.teardown()

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
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with_key(monkeypatch, "http://127.0.0.1:9")
    began = time.monotonic()
    record = execute(folder.path)
    assert time.monotonic() - began < 30
    assert record["state"] == "finished"
    assert "W&B is offline (cannot reach 127.0.0.1: Connection refused)" in capsys.readouterr().out
    [records] = offline_runs(folder)
    assert summary(records)["last/test/error"] == record["last"]["test/error"]


def test_server_that_never_answers_costs_bounded_time_and_no_run(
    folder: RunFolder, silent_server: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with_key(monkeypatch, silent_server)
    monkeypatch.setattr(loggers, "SECONDS_TO_START", 2.0)
    monkeypatch.setattr(loggers, "SECONDS_TO_FINISH", 2.0)
    began = time.monotonic()
    record = execute(folder.path)
    assert time.monotonic() - began < 60
    assert record["state"] == "finished"
    assert "W&B is offline (" in capsys.readouterr().out
    assert any(
        summary(each)["last/test/error"] == record["last"]["test/error"]
        for each in offline_runs(folder)
        if "summary" in each
    )


def test_server_that_is_lost_during_a_run_costs_bounded_time_and_no_result(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = WandbServer()
    with_key(monkeypatch, server.address)
    monkeypatch.setattr(loggers, "SECONDS_TO_FINISH", 3.0)
    on_batch(monkeypatch, lambda trainer: trainer.global_step == 7 and server.lose())
    began = time.monotonic()
    record = execute(folder.path)
    assert time.monotonic() - began < 45
    assert record["state"] == "finished"
    assert "W&B is offline" not in capsys.readouterr().out
    [records] = offline_runs(folder)  # written beside what was sent: `wandb sync` sends the rest
    assert sum("train/loss" in each["item"] for each in records["history"]) == 3
    assert summary(records)["last/test/error"] == record["last"]["test/error"]


def test_key_of_the_env_file_is_used_and_written_nowhere(folder: RunFolder, silent_server: str) -> None:
    Path(".env").write_text(f"# a comment\nWANDB_API_KEY={KEY}\nWANDB_BASE_URL='{silent_server}'\nOTHER=1\n")

    def train() -> None:
        logging.basicConfig(level=logging.DEBUG)
        loggers.SECONDS_TO_START = loggers.SECONDS_TO_FINISH = 2.0  # type: ignore[misc]
        record = execute(folder.path)
        wandb.teardown()
        assert record["state"] == "finished"
        assert os.environ["WANDB_API_KEY"] == KEY
        assert "OTHER" not in os.environ

    assert ended(forked(train)) == 0
    files = [path for path in folder.path.rglob("*") if path.is_file()]
    assert len(files) > 8
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


OPEN = LoggerConfig(name="wandb")
SAID: dict[str, tuple[LoggerConfig, str, dict[str, str], tuple[str, str | None, str]]] = {
    "nothing": (OPEN, "", {}, ("resnet-lab", None, "auto")),
    "by the environment": (
        OPEN,
        "",
        {"WANDB_PROJECT": "p", "WANDB_ENTITY": "e", "WANDB_MODE": "disabled"},
        ("p", "e", "disabled"),
    ),
    "by the file": (
        OPEN,
        "export WANDB_PROJECT=p # a comment\nexport WANDB_ENTITY='e'\nWANDB_MODE=offline\n",
        {},
        ("p", "e", "offline"),
    ),
    "by both": (OPEN, "WANDB_PROJECT=file", {"WANDB_PROJECT": "environment"}, ("environment", None, "auto")),
    "by the keys too": (
        LoggerConfig(name="wandb", project="key", entity="key", mode="online"),
        "",
        {"WANDB_PROJECT": "p", "WANDB_ENTITY": "e", "WANDB_MODE": "disabled"},
        ("key", "key", "online"),
    ),
}


@pytest.mark.parametrize("said", SAID)
def test_keys_come_before_the_environment_and_that_before_the_env_file(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, file, environment, expected = SAID[said]
    (tmp_path / ".env").write_text(file)
    monkeypatch.setattr(os, "environ", {**os.environ, **environment})
    told = loggers.from_environment(config, tmp_path / ".env")
    assert (told.project, told.entity, told.mode) == expected


def test_disabled_wandb_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    with loggers.open_loggers(OPEN, tmp_path, {}) as opened:
        assert opened == []
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("host", "why"), [("127.0.0.1:9", "cannot reach"), ("wandb.example.org", "no key")])
def test_key_that_wandb_login_wrote_is_found_and_is_for_its_host_alone(
    host: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    (tmp_path / "netrc").write_text(f"machine {host}\n  login user\n  password {KEY}\n")
    (tmp_path / "netrc").chmod(0o600)
    assert (loggers.why_offline("auto") or "").startswith(why)


def test_tensorboard_reads_the_metrics_of_the_history(make_config: MakeConfig) -> None:
    callbacks = {"checkpoint": CheckpointConfig(every_iterations=2)}
    folder = RunFolder.create(make_config(logger=LoggerConfig(name="tensorboard"), callbacks=callbacks))
    killed(folder, "after", 8)
    execute(folder.path)
    events = EventAccumulator(str(folder.path / "tensorboard"))
    events.Reload()
    rows = [line.split(",") for line in folder.history_file.read_text().splitlines()]
    for name in ("train/loss", "val/error", "test/error", "test/top5_error"):
        column = [float(row[rows[0].index(name)]) for row in rows[1:]]
        scalars = sorted(events.Scalars(name), key=lambda each: each.step)  # of two files, one a process
        assert [each.value for each in scalars] == pytest.approx(column, rel=1e-5), name
    assert [each.step for each in scalars] == [4, 9, 14]
