"""Which process of a run this is, who started it, and what Lightning is told of it."""

import os
import sys
from dataclasses import dataclass
from typing import Any

from resnet_lab.config.schema import TrainerConfig
from resnet_lab.errors import UserError

PROGRAM = "resnet_lab.runs"  # python -m PROGRAM RUN_DIR


@dataclass(frozen=True)
class Place:
    """One process among those of a run."""

    rank: int  # among all of them
    devices: int  # of each node, a process each
    nodes: int
    started_by: str  # torchrun, slurm, lightning (which starts the others itself)

    @property
    def world_size(self) -> int:
        return self.devices * self.nodes

    @property
    def is_first(self) -> bool:
        return self.rank == 0


def place(config: TrainerConfig) -> Place:
    """Where this process stands. `torchrun` and `srun` have the last word on how many there are."""
    env = os.environ
    if "TORCHELASTIC_RUN_ID" in env:
        world, local = int(env["WORLD_SIZE"]), int(env["LOCAL_WORLD_SIZE"])
        return Place(int(env["RANK"]), local, world // local, "torchrun")
    tasks = int(env.get("SLURM_STEP_NUM_TASKS", 1))
    if tasks > 1:
        nodes = int(env.get("SLURM_STEP_NUM_NODES", 1))
        return Place(int(env["SLURM_PROCID"]), tasks // nodes, nodes, "slurm")
    # Lightning sets these for the processes that it starts, and the user for each of several nodes.
    rank = int(env.get("NODE_RANK", 0)) * config.devices + int(env.get("LOCAL_RANK", 0))
    return Place(rank, config.devices, config.num_nodes, "lightning")


def needs_own_program(here: Place) -> bool:
    """Whether the run has to be started as `python -m resnet_lab.runs`.

    Lightning starts the other processes by repeating the command line of this one, which must therefore be
    that of a run: never a sweep's, a notebook's or a test's.
    """
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    is_program = spec is not None and spec.name in (PROGRAM, f"{PROGRAM}.__main__")
    return here.world_size > 1 and here.started_by == "lightning" and not is_program


def trainer_arguments(config: TrainerConfig, here: Place) -> dict[str, Any]:
    """What Lightning's Trainer is to know of devices; UserError for what this machine cannot do."""
    import torch
    from lightning.fabric.plugins.environments import (
        LightningEnvironment,
        SLURMEnvironment,
        TorchElasticEnvironment,
    )

    from resnet_lab.runs.checkpoints import AtomicFiles

    gpus = torch.cuda.device_count()
    accelerator = config.accelerator
    if accelerator == "auto":
        accelerator = "gpu" if gpus or torch.backends.mps.is_available() else "cpu"
    if accelerator == "gpu" and not torch.backends.mps.is_available() and gpus < here.devices:
        raise UserError(f"trainer.devices={here.devices}: this machine shows {gpus} GPUs")
    if accelerator == "cpu" and config.sync_batch_norm and here.world_size > 1:
        raise UserError("trainer.sync_batch_norm needs GPUs: PyTorch has none for the CPU")
    environments: dict[str, Any] = {
        "torchrun": TorchElasticEnvironment,
        "slurm": lambda: SLURMEnvironment(auto_requeue=False),  # our checkpoints need no help to be found
        "lightning": LightningEnvironment,
    }
    return {
        "accelerator": accelerator,
        "devices": here.devices,
        "num_nodes": here.nodes,
        "strategy": _strategy(config.strategy, accelerator, here),
        "sync_batchnorm": config.sync_batch_norm and here.world_size > 1,
        "plugins": [AtomicFiles(), environments[here.started_by]()],
    }


def _strategy(name: str, accelerator: str, here: Place) -> Any:
    from lightning.pytorch.strategies import DDPStrategy, FSDPStrategy

    from resnet_lab.models.units import Unit

    if name == "fsdp":
        if accelerator != "gpu":
            raise UserError("trainer.strategy=fsdp needs GPUs")
        # Whole checkpoints: they load on any number of devices.
        return FSDPStrategy(state_dict_type="full", auto_wrap_policy={Unit})
    if name == "ddp" or here.world_size > 1:
        # The running statistics of batch norm are brought together for each evaluation, not for each step.
        return DDPStrategy(broadcast_buffers=False, gradient_as_bucket_view=True)
    return "auto"
