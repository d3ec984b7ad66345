"""One process a folder, while it trains: not two, whatever their timing, and none that lost its lock."""

import errno
import fcntl
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from forked import ended, forked, iterations, on_batch
from resnet_lab.config.schema import TrainConfig
from resnet_lab.errors import UserError
from resnet_lab.runs.__main__ import main
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.lock import Lock, held
from run_folders import ended as finished_record

MakeConfig = Callable[..., TrainConfig]


@pytest.fixture
def folder(make_config: MakeConfig) -> RunFolder:
    return RunFolder.create(make_config())


@pytest.fixture
def training(folder: RunFolder, tmp_path: Path) -> Iterator[int]:
    """Another process that trains the folder and hangs at iteration 7."""
    os.mkfifo(reached := tmp_path / "reached")

    def hang(trainer: Any) -> None:
        if trainer.global_step == 7:
            reached.write_bytes(b".")
            time.sleep(60)

    def train() -> None:
        on_batch(pytest.MonkeyPatch(), hang)
        execute(folder.path)

    pid = forked(train)
    reached.read_bytes()
    yield pid
    os.kill(pid, signal.SIGKILL)
    ended(pid)


def test_folder_that_another_process_trains_is_refused_and_left_as_it_is(
    training: int, folder: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.path.rglob("*")}
    with pytest.raises(UserError, match=f"is running: process {training} on"):
        execute(folder.path)
    assert main([str(folder.path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert {path: path.stat().st_mtime_ns for path in folder.path.rglob("*")} == before


def test_of_many_processes_that_start_at_once_one_has_the_folder(folder: RunFolder, tmp_path: Path) -> None:
    def enter() -> None:
        with folder.lock() as lock:
            with (tmp_path / "entered").open("a") as file:
                file.write(f"{os.getpid()} {lock.attempt}\n")
            time.sleep(3)

    codes = [ended(pid) for pid in [forked(enter) for _ in range(8)]]
    assert sorted(codes) == [0] + [1] * 7
    assert len((tmp_path / "entered").read_text().splitlines()) == 1


def test_run_that_lost_its_lock_stops_before_it_writes_another_checkpoint(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_batch(monkeypatch, lambda trainer: trainer.global_step == 7 and folder.lock_file.unlink())
    record = execute(folder.path)
    assert record.error.kind == "lost_lock"
    assert "another process may be training here" in record.error.message
    assert iterations(folder) == [5]


def test_record_of_the_process_that_took_over_is_not_replaced(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def take_over(trainer: Any) -> None:
        if trainer.global_step == 7:
            folder.lock_file.unlink()
            folder.write_record(finished_record(folder.config(), 1.0))

    on_batch(monkeypatch, take_over)
    assert execute(folder.path).last["test/error"] == 1.0


def test_worker_that_outlives_its_run_does_not_hold_the_folder(tmp_path: Path) -> None:
    with Lock(tmp_path / "lock"):
        worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
        worker.start()
        assert held(tmp_path / "lock")
    try:
        deadline = time.monotonic() + 10
        while held(tmp_path / "lock"):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        worker.kill()
        worker.join()


def test_a_file_system_without_locks_is_one_line_each_time(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(descriptor: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    for _ in range(2):
        with pytest.raises(UserError, match="its file system knows no locks"), folder.lock():
            pass
        with pytest.raises(UserError, match="its file system knows no locks"):
            folder.state()
