"""How a run rounds is set for it alone, and its record tells what else decides it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch._dynamo
from torch import nn
from torch._inductor import config as inductor
from torch.backends import cudnn

from forked import ended, forked, killed
from resnet_lab.config.identity import identity
from resnet_lab.config.schema import TrainConfig, TrainerConfig
from resnet_lab.cores import SHARE
from resnet_lab.runs import numerics
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder

MakeConfig = Callable[..., TrainConfig]
GPU = torch.device("cuda", 0)


def now() -> tuple[Any, ...]:
    fill = numerics.deterministic.fill_uninitialized_memory
    return cudnn.allow_tf32, cudnn.benchmark, torch.are_deterministic_algorithms_enabled(), fill


def test_run_rounds_as_it_says_and_leaves_the_process_as_it_was(make_config: MakeConfig) -> None:
    before = now()
    config = make_config(precision="32-ieee", trainer=TrainerConfig(deterministic=True))
    with numerics.as_configured(config):
        torch.use_deterministic_algorithms(True)  # as Lightning's Trainer does
        cudnn.benchmark = not before[1]
        assert now() == (False, not before[1], True, False)
    assert now() == before
    with numerics.as_configured(make_config()):
        assert now() == before  # PyTorch's defaults: TF32 in convolutions


def test_convolutions_without_tf32_are_another_run(make_config: MakeConfig) -> None:
    assert identity(make_config(precision="32-ieee")) != identity(make_config())


@pytest.fixture
def fake_gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[tuple[int, int]], None]:
    def fake(capability: tuple[int, int]) -> None:
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla V100")

    return fake


@pytest.mark.parametrize(
    ("precision", "capability", "tf32"),
    [("32", (9, 0), True), ("32", (7, 0), False), ("32-ieee", (9, 0), False), ("bf16", (9, 0), False)],
)
def test_record_tells_what_decides_the_bits_of_a_gpu(
    precision: str,
    capability: tuple[int, int],
    tf32: bool,
    make_config: MakeConfig,
    fake_gpu: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    fake_gpu(capability)
    monkeypatch.setattr(numerics, "DRIVER", tmp_path / "version")
    numerics.DRIVER.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5\nGCC\n")
    told = numerics.describe(make_config(precision=precision), GPU, 4)
    assert told["tf32"] is tf32
    assert (told["driver"], told["world_size"], told["compiled"]) == ("550.54.15", 4, False)
    assert set(told) == {
        *("deterministic", "compiled", "world_size", "tf32", "benchmark", "cuda", "cudnn", "driver"),
    }  # fmt: skip


def test_bf16_that_a_gpu_emulates_is_told(make_config: MakeConfig, fake_gpu: Any) -> None:
    config = make_config(precision="bf16")
    fake_gpu((7, 0))
    assert "Tesla V100 has no units for it" in str(numerics.emulated(config, GPU))
    assert numerics.emulated(make_config(), GPU) is None
    fake_gpu((8, 0))
    assert numerics.emulated(config, GPU) is None
    assert numerics.emulated(config, torch.device("cpu")) is None


def test_record_of_a_run_tells_its_numerics_and_deterministic_runs_resume_bit_for_bit(
    make_config: MakeConfig,
) -> None:
    trainer = TrainerConfig(accelerator="cpu", threads=1, progress=False, deterministic=True)
    whole, stopped = (
        RunFolder.create(make_config(trainer=trainer, name=name)) for name in ("whole", "stopped")
    )
    assert ended(forked(lambda: execute(whole.path))) == 0
    killed(stopped, "after", 5)
    assert ended(forked(lambda: execute(stopped.path))) == 0
    assert stopped.weights_file.read_bytes() == whole.weights_file.read_bytes()
    told = whole.record().numerics
    assert told == {**dict.fromkeys(told), "deterministic": True, "compiled": False, "world_size": 1}


def test_each_shape_has_a_graph_of_its_own_and_the_cores_of_the_run_bound_its_compilers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without `dynamic=False` the second shape makes a graph for any, which the first one then runs too."""
    monkeypatch.setenv(SHARE, "3")
    monkeypatch.setattr(inductor, "compile_threads", 32)
    shapes: list[tuple[int, ...]] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> object:
        shapes.append(tuple([each for each in inputs if each.ndim == 4][-1].shape))  # after the weight
        return graph.forward

    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
    monkeypatch.setattr(net, "compile", lambda **how: nn.Module.compile(net, backend=backend, **how))
    numerics.compile_in_place(net)
    for images in (8, 5, 8):
        net(torch.zeros(images, 1, 6, 6))
    assert shapes == [(8, 1, 6, 6), (5, 1, 6, 6)]
    assert inductor.compile_threads == 3
    assert set(net.state_dict()) == {"0.weight", "0.bias"}
    torch._dynamo.reset()
