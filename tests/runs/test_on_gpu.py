"""Runs on a CUDA device. The twin of each that a CPU can run is named beside it."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.backends import cudnn

import toy_training as toy
from forked import ended, forked, killed, on_batch
from resnet_lab.config.schema import ProbeConfig, TrainConfig, TrainerConfig
from resnet_lab.runs import devices
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder
from resnet_lab.training.averaging import Average
from resnet_lab.training.evaluation import evaluate
from resnet_lab.training.protocols import Protocol, ScaledImages

MakeConfig = Callable[..., TrainConfig]

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is visible here"),
]


@pytest.fixture
def make(make_config: MakeConfig) -> Callable[..., RunFolder]:
    def made(name: str = "one", trainer: dict[str, Any] | None = None, **more: Any) -> RunFolder:
        usual: dict[str, Any] = {"accelerator": "gpu", "threads": 1, "progress": False}
        chosen = TrainerConfig(**usual | (trainer or {}))
        return RunFolder.create(make_config(trainer=chosen, name=name, **more))

    return made


def trained(folder: RunFolder) -> dict[str, Any]:
    assert ended(forked(lambda: execute(folder.path))) == 0
    record = folder.record()
    assert record is not None
    assert record.state == "finished", record.error
    return record


def test_fork_of_the_server_computes_on_the_gpu_that_it_is_given_and_sees_no_other() -> None:
    """What had touched a device could not be forked so. Twin: sweeps/places/test_local.py, of its environment."""
    [*_, last] = devices.gpu_names(torch.cuda.device_count())

    def compute() -> None:
        import os

        os.environ[devices.VISIBLE] = last
        assert torch.cuda.device_count() == 1
        assert float(torch.ones(3, device="cuda").sum()) == 3

    assert ended(forked(compute)) == 0


def test_run_on_the_cpu_makes_no_context_on_a_gpu(make: Callable[..., RunFolder]) -> None:
    """Twin: data/test_waits.py, of the memory that it does not pin."""
    folder = make(trainer={"accelerator": "cpu"})

    def train() -> None:
        execute(folder.path)
        assert not torch.cuda.is_initialized()

    assert ended(forked(train)) == 0


@pytest.mark.parametrize("stem", ["3x3", "7x7"])
def test_deterministic_run_that_is_killed_ends_with_the_same_bits(
    stem: str, make: Callable[..., RunFolder]
) -> None:
    """Twin: test_numerics.py."""
    whole, stopped = (
        make(name, {"deterministic": True}, model={"stem": stem}) for name in ("whole", "stopped")
    )
    record = trained(whole)
    killed(stopped, "after", 5)
    trained(stopped)
    assert stopped.weights_file.read_bytes() == whole.weights_file.read_bytes()
    told = record.numerics
    assert (told["deterministic"], told["benchmark"]) == (True, False)
    assert all(told[name] is not None for name in ("tf32", "cuda", "cudnn"))


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_nothing_waits_for_the_gpu_within_a_step(ema: float, make: Callable[..., RunFolder]) -> None:
    """Twins: training/test_waits.py and data/test_waits.py, and test_optimizers.py of one kernel a step."""
    folder = make(recipe={"ema": ema})

    def refuse_waits(trainer: Any) -> None:
        assert trainer.optimizers[0].defaults["fused"]
        if trainer.global_step in (2, 4):  # of five an epoch
            torch.cuda.set_sync_debug_mode("error" if trainer.global_step == 2 else "default")

    def train() -> None:
        on_batch(pytest.MonkeyPatch(), refuse_waits)
        execute(folder.path)

    assert ended(forked(train)) == 0
    assert folder.record().error is None


def test_compiled_run_ends_with_its_numbers(make: Callable[..., RunFolder]) -> None:
    """Twin: test_numerics.py."""
    record = trained(make(trainer={"compile": True}, recipe={"mixup": 0.2}))
    assert record.numerics["compiled"]
    assert record.cost.peak_memory_mib > 0


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_one_rank_trains_under_nccl(strategy: str, make: Callable[..., RunFolder]) -> None:
    """Twins: test_devices.py with gloo, training/test_sharded.py."""
    record = trained(make(trainer={"strategy": strategy}, recipe={"weight_decay_scope": "weights"}))
    assert record.cost.devices == 1


def test_gradient_norms_of_fp16_are_finite_whatever_steps_it_skips(make: Callable[..., RunFolder]) -> None:
    """Twin: training/test_probes.py."""
    folder = make(precision="16", recipe={"clip": 1.0})
    config = folder.config()
    config.callbacks.probe = ProbeConfig(gradient_norms=1)
    folder = RunFolder.create(config)
    trained(folder)
    rows = toy.read(folder.path / "gradient_norms.csv")
    assert rows
    assert all(0 < float(row["value"]) < float("inf") for row in rows)


def test_average_on_the_gpu_is_that_of_the_cpu() -> None:
    """Twin: training/test_averaging.py."""
    net, device = toy.net(), torch.device("cuda")
    there = copy.deepcopy(net).to(device)
    ours, other = Average(net, 0.9, torch.device("cpu")), Average(there, 0.9, device)
    for _ in range(3):
        with torch.no_grad():
            for each in (net, there):
                for parameter in each.parameters():
                    parameter += 1
        ours.update_parameters(net)
        other.update_parameters(there)
    for name, value in other.module.state_dict().items():
        assert value.is_cuda
        torch.testing.assert_close(value.cpu(), ours.module.state_dict()[name])


def test_whole_images_of_any_shape_are_tested_without_timing_algorithms(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Twin: training/test_protocols.py."""
    monkeypatch.setattr(cudnn, "benchmark", True)
    seen: list[bool] = []
    net = toy.net().cuda()
    net.register_forward_hook(lambda *_: seen.append(cudnn.benchmark))
    images = [torch.randn(1, 8 + side, 9 + side) for side in range(6)]
    whole = Protocol("multi_scale", (ScaledImages(8),))
    evaluate(net, [[(images, torch.zeros(6, dtype=torch.long))]], whole, torch.device("cuda"))
    assert seen == [False] * 6
