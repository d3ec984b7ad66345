"""A run on two devices is the run on one, whoever started its processes; and what a run knows of its GPUs."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.strategies import FSDPStrategy
from safetensors.torch import load_file
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel

from forked import as_torchrun, die_at, on_batch, restored, spoil_scores
from resnet_lab import cli
from resnet_lab.config.schema import CheckpointConfig, TrainConfig, TrainerConfig
from resnet_lab.cores import cores
from resnet_lab.errors import UserError
from resnet_lab.models.units import Unit
from resnet_lab.runs import devices
from resnet_lab.runs.devices import Process, counted, trainer_arguments
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.record import BatchNorm

MakeConfig = Callable[..., TrainConfig]

# 159 images in batches of 30: the ranks get 15 each, and 5 and 4 of the last batch; of 79 test images 40 and 39.
UNEVEN: dict[str, Any] = {
    "data": {"train_images": 159, "test_images": 79},
    "recipe": {"batch_size": 30},
    "callbacks": {"checkpoint": CheckpointConfig(every_iterations=2)},
}
# Without batch norm, whose statistics are of each device's own images, two devices compute what one does.
NO_BATCH_NORM = {"batch_norm": False}


def make(make_config: MakeConfig, name: str, **more: Any) -> RunFolder:
    return RunFolder.create(make_config(**{**UNEVEN, **more}, name=name))


def on_two(folder: RunFolder) -> dict[str, Any]:
    assert as_torchrun(lambda: execute(folder.path)) == [0, 0]
    record = folder.record()
    assert record is not None
    return record


def test_torchrun_of_the_train_command_ends_well_on_every_rank(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    asked = ["train", "debug=true", "model.depth=8", "trainer.accelerator=cpu", f"runs_root={tmp_path}"]
    assert as_torchrun(lambda: sys.exit(cli.main(asked))) == [0, 0]
    assert capfd.readouterr().out.count("finished, test error") == 1


def answered(folder: RunFolder) -> list[list[str]]:
    """Image, label and prediction of each image of the final test."""
    return [line.split(",")[:3] for line in (folder.path / "predictions.csv").read_text().splitlines()]


def test_two_devices_see_the_images_of_one_and_end_with_its_weights(make_config: MakeConfig) -> None:
    one, two = (make(make_config, name, model=NO_BATCH_NORM) for name in ("one", "two"))
    alone, shared = execute(one.path), on_two(two)
    assert (alone.cost.devices, shared.cost.devices) == (1, 2)
    assert alone.cost.images == shared.cost.images == 3 * 159
    expected, found = (load_file(each.weights_file) for each in (one, two))
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, rtol=1e-4, atol=1e-5)
    for name in ("train/error", "test/error", "test/top5_error"):
        assert shared.last[name] == alone.last[name], name
    assert shared.last["test/loss"] == pytest.approx(alone.last["test/loss"], 1e-4)


def test_one_and_two_devices_test_the_same_weights_to_the_same_digit(make_config: MakeConfig) -> None:
    one = make(make_config, "one")
    alone = execute(one.path)
    two = RunFolder(shutil.copytree(one.path, one.path.parent / "two"))
    two.record_file.unlink()  # trained, and not tested yet
    shared = on_two(two)
    assert restored(two) == [18]
    assert shared.cost.devices == 2
    assert shared.batch_norm == alone.batch_norm == BatchNorm(30, False)  # as it was trained
    for name in ("test/error", "test/top5_error"):
        assert shared.last[name] == alone.last[name], name
    assert shared.last["test/loss"] == pytest.approx(alone.last["test/loss"], 1e-6)
    assert answered(one) == answered(two)


def test_two_devices_that_are_killed_go_on_together_bit_for_bit(make_config: MakeConfig) -> None:
    whole, killed = (make(make_config, name, model={"drop_path": 0.2}) for name in ("whole", "killed"))
    on_two(whole)

    def train() -> None:
        die_at("after", 8)
        execute(killed.path)

    assert -signal.SIGKILL in as_torchrun(train)
    assert killed.state() == "interrupted"
    record = on_two(killed)
    assert restored(killed) == [8]
    assert killed.weights_file.read_bytes() == whole.weights_file.read_bytes()
    expected = whole.record()
    assert (record.last, record.cost.images) == (expected.last, expected.cost.images)


def test_record_tells_of_a_resume_on_another_number_of_devices(make_config: MakeConfig) -> None:
    folder = make(make_config, "moved")

    def train() -> None:
        die_at("after", 8)
        execute(folder.path)

    assert -signal.SIGKILL in as_torchrun(train)
    record = execute(folder.path)
    assert (record.cost.trained_on, record.cost.devices) == ([2, 1], 1)
    assert record.batch_norm == BatchNorm(30, False)


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to"), "out_of_memory", "CUDA out of memory"),
        # The first process would only say that its connection was closed.
        (RuntimeError("CUDA error: assert triggered"), "other", "RuntimeError: CUDA error: assert triggered"),
    ],
)
def test_failure_of_another_rank_is_in_the_record_with_its_rank(
    error: Exception, kind: str, message: str, make_config: MakeConfig
) -> None:
    def fail(trainer: Any) -> None:
        if trainer.global_rank == 1 and trainer.global_step == 7:
            raise error

    def train() -> None:
        on_batch(pytest.MonkeyPatch(), fail)
        execute(folder.path)

    folder = make(make_config, "one_fails")
    assert as_torchrun(train)[1] == 1
    found = folder.record().error
    assert found.kind == kind
    assert found.message.startswith(f"rank 1: {message}")


def test_all_ranks_end_at_a_loss_that_is_not_finite(make_config: MakeConfig) -> None:
    def train() -> None:
        on_batch(pytest.MonkeyPatch(), lambda trainer: trainer.global_step == 8 and spoil_scores(trainer))
        execute(folder.path)

    folder = make(make_config, "nonfinite")
    as_torchrun(train)
    error = folder.record().error
    assert error.kind == "nonfinite_loss"
    assert "00000008.ckpt is the last finite one" in error.message


def test_synchronised_batch_norm_is_what_lightning_is_told_of_several_devices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    config = TrainerConfig(accelerator="gpu", devices=2, sync_batch_norm=True)
    assert trainer_arguments(config, Process(0, 2, 1, "ranks"))["sync_batchnorm"] is True
    assert trainer_arguments(config, Process(0, 1, 1, "ranks"))["sync_batchnorm"] is False


SMALL = [
    *("data=digits", "data.train_images=159", "data.test_images=79", "model.depth=8", "model.width=4"),
    *("model.batch_norm=false", "recipe=digits", "recipe.batch_size=30", "recipe.epochs=2"),
    *("trainer.accelerator=cpu", "trainer.threads=1"),
]


@pytest.mark.slow
def test_sweep_over_devices_is_two_right_runs_on_the_same_images(tmp_path: Path) -> None:
    """Lightning starts the second process itself, by the command line of the run and never the sweep's."""
    command = [sys.executable, "-m", "resnet_lab", "train", "-m", *SMALL, "trainer.devices=1,2"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    folders = [RunFolder(path) for path in sorted((tmp_path / "runs" / "scratch").iterdir())]
    assert [folder.path.name.rpartition("-")[2] for folder in folders] == ["devices1", "devices2"]
    one, two = (folder.record() for folder in folders)
    assert [each.cost.devices for each in (one, two)] == [1, 2]
    assert [each.cost.images for each in (one, two)] == [2 * 159] * 2
    assert one.hash == two.hash
    for name in ("train/error", "test/error", "test/top5_error"):
        assert one.last[name] == two.last[name], name
    assert len(folders[1].history_file.read_text().splitlines()) == 1 + 2


@pytest.mark.slow
def test_torchrun_executes_a_run_folder(tmp_path: Path, make_config: MakeConfig) -> None:
    folder = make(make_config, "torchrun", model=NO_BATCH_NORM)
    torchrun = str(Path(sys.executable).with_name("torchrun"))
    command = [torchrun, "--standalone", "--nproc-per-node", "2", "-m", "resnet_lab.runs", str(folder.path)]
    subprocess.run(command, check=True, timeout=300)
    record = folder.record()
    assert record.cost.devices == 2
    alone = execute(make(make_config, "alone", model=NO_BATCH_NORM).path)
    assert record.cost.images == alone.cost.images
    assert record.last["test/error"] == alone.last["test/error"]


def test_all_devices_are_every_core_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert counted(TrainerConfig(devices=-1)).devices == cores()
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert counted(TrainerConfig(devices=-1)).devices == 3
    assert counted(TrainerConfig(devices=-1, accelerator="cpu")).devices == cores()
    assert counted(TrainerConfig(devices=2)).devices == 2


@pytest.mark.parametrize("accelerator", ["cpu", "auto"])
def test_fp16_on_a_cpu_is_refused(accelerator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UserError, match="precision=bf16"):
        trainer_arguments(TrainerConfig(accelerator=accelerator), Process(0, 1, 1, "nobody"), "16")


SLICES = ["MIG-5c89", "MIG-6d90", "MIG-7e01"]


@pytest.mark.parametrize(
    ("visible", "seen", "named"),
    [
        (None, 2, ["0", "1"]),
        ("3, GPU-5f", 2, ["3", "GPU-5f"]),
        ("0,1,-1,2", 2, ["0", "1"]),  # as CUDA reads it
        ("4,5,6", 2, ["4", "5"]),  # one that PyTorch does not see is given to no run
        (",".join(SLICES), 1, SLICES),  # of which each process sees one
        (",".join(SLICES), 0, []),
        ("", 0, []),
        ("NoDevFiles", 0, []),
    ],
)
def test_gpus_are_named_as_the_environment_names_them(
    visible: str | None, seen: int, named: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(devices.VISIBLE, raising=False)
    if visible is not None:
        monkeypatch.setenv(devices.VISIBLE, visible)
    assert devices.gpu_names(seen) == named


@pytest.mark.parametrize(("visible", "count"), [("", 0), ("-1", 0), ("3,4", 2), (",".join(SLICES), 3)])
def test_environment_says_how_many_gpus_are_listed(
    visible: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(devices.VISIBLE, visible)
    assert devices.gpus_listed() == count


@pytest.mark.parametrize(
    ("environment", "started_by", "told"),
    [
        ({}, "slurm", "this task of SLURM sees 1 GPUs, .* leave out --gpus-per-task and --gpu-bind"),
        ({devices.VISIBLE: ",".join(SLICES)}, "ranks", "this machine shows 1 GPUs"),
    ],
)
def test_fewer_gpus_than_ranks_are_told_with_their_cause(
    environment: dict[str, str], started_by: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=f"^trainer.devices=2: {told}"):
        trainer_arguments(TrainerConfig(accelerator="gpu", devices=2), Process(0, 2, 1, started_by))


def arguments(**choices: Any) -> dict[str, Any]:
    return trainer_arguments(TrainerConfig(**choices), Process(0, 1, 1, "nobody"))


def test_gpus_that_pytorch_does_not_see_are_a_line_and_in_a_slurm_job_an_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(devices, "gpus_listed", lambda: 4)
    assert arguments()["accelerator"] == "cpu"
    assert "4 GPUs are here and PyTorch sees none" in caplog.text
    monkeypatch.setenv("SLURM_GPUS_ON_NODE", "2")
    assert arguments(accelerator="cpu")["accelerator"] == "cpu"
    with pytest.raises(UserError, match=r"^2 GPUs are here and PyTorch sees none: .*accelerator=cpu"):
        arguments()


class OnTheCPU(FSDPStrategy):
    def _setup_model(self, model: nn.Module) -> nn.Module:
        return FullyShardedDataParallel(model, device_id=torch.device("cpu"), **self.kwargs)


def train(folder: RunFolder, until: int | None = None) -> list[int]:
    """Exit codes of the ranks; `until`: killed after the checkpoint of this iteration."""

    def ranked() -> None:
        devices.check_on_cpu = lambda *_: None  # type: ignore[assignment]
        devices._strategy = lambda *_, **__: OnTheCPU(state_dict_type="full", auto_wrap_policy={Unit})
        if until is not None:
            die_at("after", until)
        execute(folder.path)

    return as_torchrun(ranked)


@pytest.mark.slow
def test_fsdp_run_that_is_killed_goes_on_bit_for_bit(make_config: MakeConfig) -> None:
    """With momentum of each weight where it belongs: FSDP scrambled that of weights which lay channels-last."""
    trainer = TrainerConfig(strategy="fsdp", threads=1, progress=False, devices=2)
    checkpoint = {"checkpoint": CheckpointConfig(every_iterations=2)}
    choices = {"trainer": trainer, "recipe": {"weight_decay_scope": "weights"}, "callbacks": checkpoint}
    whole, stopped = (RunFolder.create(make_config(name=name, **choices)) for name in ("whole", "stopped"))
    assert train(whole) == [0, 0]
    assert -signal.SIGKILL in train(stopped, until=8)
    assert train(stopped) == [0, 0]
    assert restored(stopped) == [8]
    assert stopped.weights_file.read_bytes() == whole.weights_file.read_bytes()
