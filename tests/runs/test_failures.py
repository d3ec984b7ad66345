"""What ends a run before its time has a name, and one line in the record, in log.txt and on the terminal."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException

from forked import iterations, on_batch, restored, spoil_scores
from resnet_lab.config.schema import CheckpointConfig, TrainConfig
from resnet_lab.errors import UserError
from resnet_lab.runs import checkpoints
from resnet_lab.runs.__main__ import main
from resnet_lab.runs.checkpoints import NonFiniteWeights, UnreadableCheckpoint, newest_sound, weights_of
from resnet_lab.runs.execute import execute
from resnet_lab.runs.failures import describe
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.lock import LostLock
from resnet_lab.sweeps.jobs import Job
from resnet_lab.training import NonFiniteLoss

MakeConfig = Callable[..., TrainConfig]

EVERY_2 = {"checkpoint": CheckpointConfig(every_iterations=2)}


@pytest.fixture
def folder(make_config: MakeConfig) -> RunFolder:
    return RunFolder.create(make_config(callbacks=EVERY_2))


def told(folder: RunFolder, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """Kind and message of a failure, which the terminal, log.txt and a sweep's table tell in the same words."""
    assert main([str(folder.path)]) in (1, 2)
    error = folder.record().error
    kind, message = error.kind, error.message
    assert capsys.readouterr().out.splitlines()[-1] == f"{folder.path}: {kind}: {message}"
    assert folder.log_file.read_text().splitlines()[-1].endswith(f"{kind}: {message}")
    assert "Traceback" in folder.log_file.read_text()
    job = Job(folder.config(), folder)
    job.settle()
    assert (job.status, job.remark) == ("failed", message)
    return kind, message


def at_iteration_8(monkeypatch: pytest.MonkeyPatch, action: Callable[[], Any]) -> None:
    """Act at the end of the eighth batch, before its checkpoint."""
    on_batch(monkeypatch, lambda trainer: trainer.global_step == 8 and action())


def test_loss_that_is_not_finite_stops_the_run_and_leaves_its_last_finite_checkpoint(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        on_batch(patch, lambda trainer: trainer.global_step == 8 and spoil_scores(trainer))
        kind, message = told(folder, capsys)
    assert kind == "nonfinite_loss"
    assert message.startswith("the training loss was not finite at iteration 9; checkpoints/00000008.ckpt is")
    assert "recipe.lr" in message
    newest = newest_sound(folder.checkpoints, folder.config())
    assert newest is not None
    assert newest.stem == "00000008"
    assert all(value.isfinite().all() for value in weights_of(newest).values())
    assert execute(folder.path).state == "finished"
    assert restored(folder) == [8]


def test_weights_that_are_not_finite_replace_no_checkpoint(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def spoil(trainer: Any) -> None:
        if trainer.global_step == 8:
            with torch.no_grad():
                trainer.lightning_module.backbone.fc.weight[0, 0] = float("nan")

    on_batch(monkeypatch, spoil)
    kind, message = told(folder, capsys)
    assert kind == "nonfinite_loss"
    assert message.startswith("backbone.fc.weight is not finite at iteration 8; checkpoints/00000006.ckpt is")
    assert iterations(folder) == [6, 5]


def test_memory_that_runs_out_names_what_needs_less(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at_iteration_8(monkeypatch, lambda: torch.empty(1 << 60, dtype=torch.uint8))  # really refused
    kind, message = told(folder, capsys)
    assert kind == "out_of_memory"
    for knob in ("recipe.accumulate", "recipe.batch_size", "model.checkpointing", "precision=bf16"):
        assert knob in message


def test_disk_that_is_full_is_told_and_freed_the_run_goes_on(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Full:
        def __getattr__(self, name: str) -> Any:
            return getattr(torch, name)

        def save(self, checkpoint: Any, file: Any) -> None:
            file.write(b"the beginning")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        at_iteration_8(patch, lambda: patch.setattr(checkpoints, "torch", Full()))
        kind, message = told(folder, capsys)
    assert (kind, message) == (
        "disk_full",
        f"no space left for {folder.path}: free some, then run again to go on",
    )
    assert iterations(folder) == [6, 5]
    assert not list(folder.checkpoints.glob(".*"))  # the half that was written takes no space
    assert execute(folder.path).state == "finished"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("left", ["a little", "nothing"])
def test_disk_that_is_really_full_is_told(
    left: str, small_disk: Path, make_config: MakeConfig, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    """Where not even the record and the log find room, the terminal tells."""

    def fill() -> None:
        with (small_disk / "else").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096 if left == "nothing" else 64 * 1024))

    def filled() -> None:
        with pytest.raises(OSError, match="No space left"):
            fill()

    folder = RunFolder.create(make_config(callbacks=EVERY_2, runs_root=str(small_disk), model={"width": 8}))
    at_iteration_8(monkeypatch, filled)
    assert main([str(folder.path)]) == 1
    assert "disk_full: no space left for" in capsys.readouterr().out
    assert newest_sound(folder.checkpoints, folder.config()) is not None
    (small_disk / "else").unlink()
    monkeypatch.undo()
    assert execute(folder.path).state == "finished"
    assert restored(folder) == [6]


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (NonFiniteLoss(7), "nonfinite_loss", "not finite at iteration 7; there was none before"),
        (NonFiniteWeights("fc is not finite"), "nonfinite_loss", "fc is not finite; there was none before"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full", "no space left for"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk_full", "no space left for"),
        (UnreadableCheckpoint("cannot read 1.ckpt"), "unreadable_checkpoint", "cannot read 1.ckpt"),
        (LostLock("lock was removed"), "lost_lock", "lock was removed: another process may be training here"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to"), "out_of_memory", "CUDA out of memory: "),
        (MemoryError(), "out_of_memory", "MemoryError: recipe.accumulate=2"),
        (UserError("recipe.lr=-1"), "user_error", "recipe.lr=-1"),
        (MisconfigurationException("no such\n  accelerator"), "user_error", "no such accelerator"),
        (KeyError("a"), "other", "KeyError: 'a'"),
        (OSError(errno.EIO, "Input/output error"), "other", "Input/output error"),
    ],
)
def test_each_failure_has_its_kind_and_one_line(
    error: Exception, kind: str, message: str, tmp_path: Path
) -> None:
    found = describe(error, RunFolder(tmp_path))
    assert found.kind == kind
    assert message in found.message
    assert "\n" not in found.message


def test_what_a_library_wraps_is_found(tmp_path: Path) -> None:
    """As torch.save does, whose own error tells of positions within a file."""
    error = RuntimeError("unexpected pos 166016 vs 165912")
    error.__context__ = OSError(errno.ENOSPC, "No space left on device")
    assert describe(error, RunFolder(tmp_path)).kind == "disk_full"


def test_mistake_of_the_user_ends_with_2(make_config: MakeConfig, capsys: pytest.CaptureFixture[str]) -> None:
    folder = RunFolder.create(make_config(recipe={"batch_size": 1000}))
    assert main([str(folder.path)]) == 2
    assert "user_error: recipe.batch_size=1000: the training set has only" in capsys.readouterr().out
