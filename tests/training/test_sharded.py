"""A net that FSDP shards is trained as a whole one is: two ranks over gloo, which need no GPU."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel

import toy_training as toy
from forked import as_torchrun
from resnet_lab.training import optimizers

DECAY: dict[str, Any] = {"weight_decay": 0.5, "lr_scale": {"9.*": 0.5}, "lr": 0.1}


def steps(
    net: nn.Module, optimizer: torch.optim.Optimizer, images: torch.Tensor, labels: torch.Tensor
) -> None:
    for _ in range(3):
        nn.functional.cross_entropy(net(images), labels).backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("scope", ["all", "weights", "conv"])
def test_fsdp_decays_the_parameters_that_one_device_decays(scope: str, tmp_path: Path) -> None:
    recipe = toy.recipe(weight_decay_scope=scope, **DECAY)

    def train() -> None:
        dist.init_process_group("gloo")
        net = toy.net(batch_norm=False)
        whole, covered = copy.deepcopy(net), optimizers.decayed(recipe, net)
        device = torch.device("cpu")
        sharded = FullyShardedDataParallel(net, use_orig_params=True, device_id=device)
        batch = toy.images(12)
        steps(sharded, optimizers.build(recipe, net, covered), *batch)
        steps(whole, optimizers.build(recipe, whole), *batch)
        with FullyShardedDataParallel.summon_full_params(sharded):
            for found, expected in zip(net.parameters(), whole.parameters(), strict=True):
                torch.testing.assert_close(found, expected)
        (tmp_path / f"{dist.get_rank()}").touch()

    assert as_torchrun(train) == [0, 0]
    assert len(list(tmp_path.iterdir())) == 2
