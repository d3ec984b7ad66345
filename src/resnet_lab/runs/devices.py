"""Which process of a run this is, who started it, and what Lightning gets to know of it. Free of torch at import."""

import logging
import os
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from resnet_lab.config.rules import check_on_cpu
from resnet_lab.config.schema import ALL, TrainerConfig
from resnet_lab.cores import THREAD_VARIABLES, cores
from resnet_lab.errors import UserError
from resnet_lab.runs.gpus import listed, possible, too_few, unseen

log = logging.getLogger(__name__)

RANK = "RESNET_LAB_RANK"  # of a process that `ranks` started
FSDP_PARAMETERS = 1_000_000  # of a module that is sharded as a whole
# What libraries read of a process among several; left over in an environment, it means nothing to a run of one.
RANK_VARIABLES = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")


@dataclass(frozen=True)
class Process:
    """One process among those of a run."""

    rank: int  # among all of them
    devices: int  # of each node, a process each
    nodes: int
    started_by: str  # torchrun, slurm, ranks, or nobody: then this is the only process so far

    @property
    def world_size(self) -> int:
        return self.devices * self.nodes

    @property
    def is_first(self) -> bool:
        return self.rank == 0


def this_process(config: TrainerConfig) -> Process:
    """Where this process stands. `torchrun` and `srun` have the last word on how many there are."""
    env = os.environ
    if "TORCHELASTIC_RUN_ID" in env:
        world, local = int(env["WORLD_SIZE"]), int(env["LOCAL_WORLD_SIZE"])
        return Process(int(env["RANK"]), local, world // local, "torchrun")
    tasks = int(env.get("SLURM_STEP_NUM_TASKS", 1))
    if tasks > 1:
        nodes = int(env.get("SLURM_STEP_NUM_NODES", 1))
        return Process(int(env["SLURM_PROCID"]), tasks // nodes, nodes, "slurm")
    if RANK in env:
        return Process(int(env[RANK]), config.devices, 1, "ranks")
    return Process(0, config.devices, config.num_nodes, "nobody")


def forget_ranks() -> None:
    """Let no library take this process for one among several, because of what a shell still holds."""
    for name in RANK_VARIABLES:
        os.environ.pop(name, None)


def check(config: TrainerConfig, precision: str = "32") -> None:
    """UserError for more processes than this machine has devices, or for what these cannot do.

    Torch is loaded and asked only where GPUs are needed and there may be some. A run on several nodes is started on
    each of them, of which this machine may be none.
    """
    if config.num_nodes > 1:
        return
    _check_count(config)
    if config.accelerator == "gpu" and not possible():
        raise UserError("trainer.accelerator=gpu: no GPU is visible here")
    needed = precision == "16" or config.strategy == "fsdp" or config.sync_batch_norm
    if needed and (not possible() or _accelerator(config) == "cpu"):
        check_on_cpu(config, precision, config.devices)


def _check_count(config: TrainerConfig) -> None:
    gpus = 0 if config.accelerator == "cpu" else listed()
    if config.devices > max(cores(), gpus):
        has = f"{cores()} CPU cores" + f" and {gpus} GPUs" * (config.accelerator != "cpu")
        raise UserError(f"trainer.devices={config.devices}: this machine has {has}")


def _accelerator(config: TrainerConfig) -> str:
    if config.accelerator != "auto":
        return config.accelerator
    import torch

    return "gpu" if torch.cuda.device_count() or torch.backends.mps.is_available() else "cpu"


def counted(config: TrainerConfig) -> TrainerConfig:
    """Replace `trainer.devices=-1` by the number of visible GPUs, or of cores if there is none."""
    if config.devices != ALL:
        return config
    gpus = 0
    if config.accelerator != "cpu":
        import torch

        gpus = torch.cuda.device_count()
    return replace(config, devices=gpus or cores())


def compute_with(threads: int) -> None:
    """Let this process compute with so many threads."""
    import torch

    # Lightning chooses a number of its own where OMP_NUM_THREADS says nothing.
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    torch.set_num_threads(threads)


def trainer_arguments(
    config: TrainerConfig, here: Process, precision: str = "32", *, units: bool = True
) -> dict[str, Any]:
    """What Lightning's Trainer is to know of devices; `units`: the net is made of residual units.

    UserError for what this machine cannot do.
    """
    import torch
    from lightning.fabric.plugins.environments import (
        LightningEnvironment,
        SLURMEnvironment,
        TorchElasticEnvironment,
    )

    from resnet_lab.runs.checkpoints import AtomicFiles

    gpus, accelerator = torch.cuda.device_count(), _accelerator(config)
    if here.started_by != "torchrun":
        _check_count(replace(config, accelerator=accelerator))
    if accelerator == "cpu":
        check_on_cpu(config, precision, here.world_size)
    if accelerator == "gpu" and not torch.backends.mps.is_available() and gpus < here.devices:
        raise too_few(here.devices, gpus, here.started_by)
    if config.accelerator == "auto" and accelerator == "cpu" and (line := unseen()):
        log.warning(line)
    environments: dict[str, Any] = {
        "torchrun": TorchElasticEnvironment,
        "slurm": lambda: SLURMEnvironment(auto_requeue=False),  # our checkpoints need no help to be found
        "ranks": LightningEnvironment,
        "nobody": LightningEnvironment,
    }
    return {
        "accelerator": accelerator,
        "devices": here.devices,
        "num_nodes": here.nodes,
        "strategy": _strategy(config.strategy, here, units=units),
        "sync_batchnorm": config.sync_batch_norm and here.world_size > 1,
        "plugins": [AtomicFiles(), environments[here.started_by]()],
    }


def _strategy(name: str, here: Process, *, units: bool) -> Any:
    from lightning.pytorch.strategies import DDPStrategy, FSDPStrategy

    from resnet_lab.models.units import Unit

    if name == "fsdp":
        # Whole checkpoints: they load on any number of devices.
        return FSDPStrategy(state_dict_type="full", auto_wrap_policy={Unit} if units else _by_size())
    if name == "ddp" or here.world_size > 1:
        # The running statistics of batch norm are brought together for each evaluation, not for each step.
        return DDPStrategy(broadcast_buffers=False, gradient_as_bucket_view=True)
    return "auto"


def _by_size() -> Any:
    """How FSDP cuts a net of which nothing is known: modules of so many parameters each."""
    from torch.distributed.fsdp.wrap import size_based_auto_wrap_policy

    return partial(size_based_auto_wrap_policy, min_num_params=FSDP_PARAMETERS)
