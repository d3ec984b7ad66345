"""A folder that was damaged, in whatever way, costs its own run one line and no other run anything."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from resnet_lab.config.identity import path_of
from resnet_lab.config.schema import TrainConfig
from resnet_lab.errors import UserError
from resnet_lab.report.collect import collect
from resnet_lab.runs import assemble, recording, train
from resnet_lab.runs.__main__ import main
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.record import Cost, Environment, Record
from resnet_lab.sweeps.jobs import Job
from resnet_lab.trained.network import of_run
from run_folders import configured, finished, interrupted, started


def content(data: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(data) and None


def huge(path: Path) -> None:
    """A hole, which takes no room on the disk."""
    with path.open("wb") as file:
        file.truncate(1 << 36)


SHAPES: dict[str, Callable[[Path], Any]] = {
    "empty": Path.touch,
    "not UTF-8": content('{"state": "é"}'.encode("latin-1")),
    "another object": content(b'{"state": "done", "attempt": "many", "last": 3}'),
    "half an object": content(b'{"state": "finished", "last": {"test/error"'),
    "odd values": content(b'{"state": "finished", "last": [1], "error": 3, "attempt": null}'),
    "nested deeply": content(b"[" * 20_000),
    "huge": huge,
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "a dangling link": lambda path: path.symlink_to("nowhere/at/all"),
}
FILES = (
    *("lock", "record.json", "log.txt", "config.yaml", "history.csv"),
    *("checkpoints", "preprocessing.json", "weights.safetensors"),
)


def spoilt(folder: RunFolder, file: str, shape: str) -> RunFolder:
    path = folder.path / file
    path.unlink(missing_ok=True)
    SHAPES[shape](path)
    return folder


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """A training that takes no time, and leaves what each of them leaves."""

    def trained(folder: RunFolder, config: TrainConfig, here: Any, parts: Any, record: Record) -> Record:
        folder.checkpoints.mkdir(exist_ok=True)
        for path in (folder.history_file, folder.preprocessing_file, folder.weights_file):
            path.write_text("")
        return replace(record, last={"iteration": 1}, cost=Cost(train_seconds=1.0))

    parts = SimpleNamespace(described=lambda record: record)
    monkeypatch.setattr(assemble, "put_together", lambda *_: parts)
    monkeypatch.setattr(train, "train", trained)
    monkeypatch.setattr(recording, "environment", Environment)  # git takes its time


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("file", FILES)
def test_damaged_folder_is_told_in_one_line_wherever_it_is_read(
    file: str, shape: str, tmp_path: Path, untrained: None, capsys: pytest.CaptureFixture[str]
) -> None:
    for error, make in {20.0: interrupted, 1.0: lambda config: finished(config, 1.0)}.items():
        root = tmp_path / str(error)
        config = configured(root)
        folder = spoilt(make(config), file, shape)
        sound = finished(configured(root, seed=1), 2.0)

        job = Job.of(config)
        assert (job.status == "failed") == bool(job.remark)
        assert "\n" not in job.remark
        assert job.result() in (None, error)
        assert job.objective() in (None, error)

        warnings: list[str] = []
        assert sound.path in [run.path for run in collect(root, warnings.append)]
        assert len(warnings) <= 1
        assert all(str(folder.path) in line and "\n" not in line for line in warnings)

        code = main([str(folder.path)])
        lines = [*capsys.readouterr().err.splitlines()]
        # A record that tells of no code is returned with the line of one of other code.
        assert (code, len(lines)) in ((0, 0), (0, 1), (2, 1)), lines
        assert all(line.startswith("resnet-lab: ") and str(folder.path) in line for line in lines)
        if code == 0:
            assert folder.state() == "finished"


@pytest.fixture
def of_another_owner() -> Iterator[Path]:
    """A folder in which this process, root as it may be, is nobody."""
    root = Path(tempfile.mkdtemp(dir="/tmp"))
    root.chmod(0o777)
    yield root
    if os.getuid() == 0:
        os.seteuid(0)
    for path in root.rglob("*"):
        path.chmod(0o755)
    shutil.rmtree(root)


@pytest.mark.parametrize("make", [started, interrupted, lambda config: finished(config, 1.0)])
def test_folder_without_permission_costs_its_own_run_a_line(
    make: Callable[[TrainConfig], RunFolder], of_another_owner: Path
) -> None:
    config = configured(of_another_owner)
    folder = make(config)
    sound = finished(configured(of_another_owner, seed=1), 2.0)
    folder.path.chmod(0)
    if os.getuid() == 0:
        os.seteuid(65534)
    job = Job.of(config)
    assert (job.status, "Permission denied" in job.remark) == ("failed", True)
    warnings: list[str] = []
    assert [run.path for run in collect(of_another_owner, warnings.append)] == [sound.path]
    assert len(warnings) == 1
    for call in (folder.state, folder.config, lambda: of_run(folder.path)):
        with pytest.raises(UserError, match="Permission denied"):
            call()


def test_folder_in_which_nothing_can_be_written_fails_alone(tmp_path: Path) -> None:
    config = configured(tmp_path)
    path_of(config).parent.mkdir(parents=True)
    path_of(config).touch()
    job = Job.of(config)
    assert job.status == "failed"
    assert job.remark.startswith(f"cannot write {job.folder.path}")
