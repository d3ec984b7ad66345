"""How far runs are and how long the rest takes; the signs that one will fail, told before it does."""

import logging
import os
import shutil
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import pytest

from resnet_lab.report.collect import read
from resnet_lab.runs import progress
from resnet_lab.runs.announce import Watch
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.history import read_columns
from resnet_lab.runs.progress import Progress, seconds_left
from resnet_lab.terminal import said
from run_folders import configured, finished, interrupted, write_history

Usage = namedtuple("Usage", "total used free")


def far(kind: str, work: float, done: float, seconds: float) -> Progress:
    return Progress(kind, work, done, seconds)


@pytest.mark.parametrize(
    ("runs", "at_once", "left"),
    [
        ([far("a", 1, 1, 10), far("a", 1, 0, 0), far("a", 1, 0, 0)], 1, 20),
        ([far("a", 1, 1, 10), far("a", 1, 0, 0), far("a", 1, 0, 0)], 2, 10),
        ([far("a", 1, 0.5, 10)], 1, 10),
        ([far("a", 1, 1, 10), far("b", 4, 0, 0)], 1, 40),  # by its work
        ([far("a", 1, 1, 10), far("b", 4, 0.5, 100), far("b", 4, 0, 0)], 1, 300),  # by those like it
        ([far("a", 1, 1, 10), far("b", 9, 0, 0), far("a", 1, 0, 0)], 2, 90),  # the longest run alone
        ([far("a", 1, 0, 0)], 1, None),
        ([far("a", 1, 1, 10)], 1, 0),
    ],
)
def test_the_rest_takes_as_long_as_what_is_done_says(
    runs: list[Progress], at_once: int, left: float | None
) -> None:
    assert seconds_left(runs, at_once) == left


def test_a_run_is_as_far_as_its_history(tmp_path: Path) -> None:
    run = read(interrupted(configured(tmp_path), [50.0, 20.0, 10.0]).path)
    found = Progress.of(run.choices, run.history, None)
    assert (found.done, found.seconds, found.epoch) == (2 / 12, 4.5, "epoch 2 of 12")
    assert found.speed == 66 * 64 / 4.5
    deeper = read(interrupted(configured(tmp_path, 56)).path)
    assert Progress.of(deeper.choices, {}, None).work == pytest.approx(found.work * 56 / 20)


def test_lengths_of_time_for_people() -> None:
    assert [said(each) for each in (8.4, 700, 9000, 3e5)] == ["8 s", "12 min", "2.5 h", "3.5 days"]


@pytest.mark.parametrize(
    ("losses", "sign"),
    [
        ([], ""),
        ([2.3, 1.1, 0.9], ""),
        ([2.3, float("nan")], "the training loss is nan"),
        ([2.3, 0.3, 4.1], "the training loss has grown from 0.3 to 4.1"),
        ([2.3, 0.3, 2.9], ""),
    ],
)
def test_losses_that_grow_are_a_sign(losses: list[float], sign: str) -> None:
    assert progress.sign_of_losses(losses) == sign


def test_a_disk_that_is_nearly_full_is_a_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert progress.sign_of_disk(tmp_path / "absent") == ""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 2**29))
    assert progress.sign_of_disk(tmp_path) == f"0.5 GiB are left on the disk of {tmp_path}"


def test_no_epoch_for_long_is_a_sign(tmp_path: Path) -> None:
    folder = interrupted(configured(tmp_path))
    epochs = read_columns(folder.history_file)
    assert progress.sign_of_silence(folder.history_file, epochs) == ""
    before = folder.history_file.stat().st_mtime - 3600
    os.utime(folder.history_file, (before, before))
    assert (
        progress.sign_of_silence(folder.history_file, epochs) == "no epoch for 60 min, which took 2 s before"
    )


def test_a_run_that_starts_to_fail_says_so_once_in_its_output_and_its_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    folder: RunFolder = interrupted(configured(tmp_path))
    watch, trainer, module = Watch(folder), SimpleNamespace(callback_metrics={"train/loss": 0.1}), None
    with caplog.at_level(logging.WARNING):
        watch.on_train_epoch_end(trainer, module)
        assert not capsys.readouterr().out
        rows = "".join(f"{epoch},22,0.1,{loss},9,,,0.6,9,,1.5\n" for epoch, loss in enumerate((0.4, 7.5)))
        folder.history_file.write_text(folder.history_file.read_text().splitlines()[0] + "\n" + rows)
        watch.on_train_epoch_end(trainer, module)
        watch.on_train_epoch_end(trainer, module)
    sign = "the training loss has grown from 0.4 to 7.5"
    assert capsys.readouterr().out == f"{folder.path}: {sign}\n"
    assert caplog.messages == [sign]
    assert watch.state_dict() == {}


def test_what_a_finished_run_took_is_in_its_record(tmp_path: Path) -> None:
    folder = finished(configured(tmp_path), 3.0)
    write_history(folder, [3.0])
    run = read(folder.path)
    assert Progress.of(run.choices, run.history, run.record.cost).seconds == 60.0
