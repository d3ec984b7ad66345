"""A run under FSDP, on two ranks over gloo: its strategy of Lightning's, but for the device that it asks for."""

import signal
from collections.abc import Callable

import pytest
import torch
from lightning.pytorch.strategies import FSDPStrategy
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel

from forked import as_torchrun, die_at, restored
from resnet_lab.config.schema import CheckpointConfig, TrainConfig, TrainerConfig
from resnet_lab.models.units import Unit
from resnet_lab.runs import devices
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder

MakeConfig = Callable[..., TrainConfig]


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
