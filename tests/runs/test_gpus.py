"""Which GPUs a run may use is known without touching one, and what is wrong with them is told."""

from typing import Any

import pytest
import torch

from resnet_lab.config.schema import TrainerConfig
from resnet_lab.errors import UserError
from resnet_lab.runs import devices
from resnet_lab.runs.devices import Process, trainer_arguments

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
