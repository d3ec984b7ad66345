"""The processes and GPUs of a run, and what Lightning gets to know of them. Free of torch at import.

GPUs are counted without a look at any of them, which would make a CUDA context.
"""

import logging
import os
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from resnet_lab.config.rules import check_on_cpu
from resnet_lab.config.schema import ALL, TrainerConfig
from resnet_lab.cores import cores
from resnet_lab.errors import UserError

log = logging.getLogger(__name__)

RANK = "RESNET_LAB_RANK"  # of a process that `ranks` started
FSDP_PARAMETERS = 1_000_000  # of a module that is sharded as a whole, in a net without units
# What libraries read of a process among several; left over in an environment, it means nothing to a run of one.
RANK_VARIABLES = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
VISIBLE = "CUDA_VISIBLE_DEVICES"  # numbers or UUIDs of GPUs, or of MIG slices, of which a process sees the first alone
SLICE = "MIG-"
DRIVERS = ("/proc/driver/nvidia/version", "/dev/kfd", "/dev/dxg")  # NVIDIA's, AMD's, and WSL's


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
    """Return where this process stands. `torchrun` and `srun` have the last word on how many there are."""
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
    """Raise UserError for more processes than this machine has devices, or for what these cannot do.

    Torch is loaded and asked only where GPUs are needed and there may be some. A run on several nodes is started on
    each of them, of which this machine may be none.
    """
    if config.num_nodes > 1:
        return
    _check_count(config)
    if config.accelerator == "gpu" and not gpus_possible():
        raise UserError("trainer.accelerator=gpu: no GPU is visible here")
    needed = precision == "16" or config.strategy == "fsdp" or config.sync_batch_norm
    if needed and (not gpus_possible() or _accelerator(config) == "cpu"):
        check_on_cpu(config, precision, config.devices)


def _check_count(config: TrainerConfig) -> None:
    gpus = 0 if config.accelerator == "cpu" else gpus_listed()
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


def trainer_arguments(
    config: TrainerConfig, here: Process, precision: str = "32", *, units: bool = True
) -> dict[str, Any]:
    """Return what Lightning's Trainer is to know of devices; `units`: the net is made of residual units.

    Raises UserError for what this machine cannot do.
    """
    import torch
    from lightning.fabric.plugins.environments import (
        ClusterEnvironment,
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
        raise too_few_gpus(here.devices, gpus, here.started_by)
    if config.accelerator == "auto" and accelerator == "cpu" and (line := unseen_gpus()):
        log.warning(line)
    environment: ClusterEnvironment = LightningEnvironment()
    if here.started_by == "torchrun":
        environment = TorchElasticEnvironment()
    elif here.started_by == "slurm":
        environment = SLURMEnvironment(auto_requeue=False)  # our checkpoints need no help to be found
    return {
        "accelerator": accelerator,
        "devices": here.devices,
        "num_nodes": here.nodes,
        "strategy": _strategy(config.strategy, here, units=units),
        "sync_batchnorm": config.sync_batch_norm and here.world_size > 1,
        "plugins": [AtomicFiles(), environment],
    }


def _strategy(name: str, here: Process, *, units: bool) -> Any:
    from lightning.pytorch.strategies import DDPStrategy, FSDPStrategy
    from torch.distributed.fsdp.wrap import size_based_auto_wrap_policy

    from resnet_lab.models.units import Unit

    if name == "fsdp":
        # Whole checkpoints: they load on any number of devices.
        by_size = partial(size_based_auto_wrap_policy, min_num_params=FSDP_PARAMETERS)
        return FSDPStrategy(state_dict_type="full", auto_wrap_policy={Unit} if units else by_size)
    if name == "ddp" or here.world_size > 1:
        # The running statistics of batch norm are brought together for each evaluation, not for each step.
        return DDPStrategy(broadcast_buffers=False, gradient_as_bucket_view=True)
    return "auto"


def gpus_possible() -> bool:
    """Return whether PyTorch may see a GPU; elsewhere it need not be loaded and asked."""
    apple = sys.platform == "darwin"
    return apple or gpus_listed() > 0 or any(Path(driver).exists() for driver in DRIVERS)


def gpus_listed() -> int:
    """Return how many the environment names, or else the system lists; none where the environment says none."""
    given = _given()
    return len(list(Path("/dev").glob("nvidia[0-9]*"))) if given is None else len(given)


def gpu_names(count: int) -> list[str]:
    """Return the names for CUDA_VISIBLE_DEVICES: of the `count` GPUs that PyTorch sees, or of all MIG slices."""
    given = _given()
    if given is None:
        return [str(number) for number in range(count)]
    return given if count and are_slices(given) else given[:count]


def are_slices(names: list[str]) -> bool:
    return bool(names) and all(name.startswith(SLICE) for name in names)


def too_few_gpus(wanted: int, seen: int, started_by: str) -> UserError:
    """Return the error for a process that sees fewer GPUs than there are processes on its node."""
    prefix = f"trainer.devices={wanted}: "
    if started_by == "slurm":
        return UserError(
            f"{prefix}this task of SLURM sees {seen} GPUs, and needs to see all of its node:"
            " leave out --gpus-per-task and --gpu-bind"
        )
    return UserError(f"{prefix}this machine shows {seen} GPUs")


def unseen_gpus() -> str | None:
    """Return the line that tells of GPUs that are here and that PyTorch does not see, or None where there is none.

    Raises UserError with it in a job of SLURM that was given them.
    """
    given = int(os.environ.get("SLURM_GPUS_ON_NODE") or 0)
    count = given or gpus_listed()
    line = f"{count} GPUs are here and PyTorch sees none: is its build for CUDA, and the driver new enough?"
    if given:
        raise UserError(f"{line} trainer.accelerator=cpu trains without")
    return f"{line} Training on the CPU, as with trainer.accelerator=cpu" if count else None


def _given() -> list[str] | None:
    """Return what CUDA_VISIBLE_DEVICES names, up to the first that is none, as CUDA reads it; None if it is not set."""
    given = os.environ.get(VISIBLE)
    if given is None:
        return None
    found: list[str] = []
    for name in (each.strip() for each in given.split(",")):
        if not (name.isdigit() or name.startswith(("GPU-", SLICE))):
            break
        found.append(name)
    return found
