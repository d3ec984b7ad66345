"""The typed configuration of one run. Free of torch, so that a mistake is told at once."""

from dataclasses import dataclass, field
from typing import Any

from resnet_lab.data.spec import DataConfig
from resnet_lab.models.description import ModelConfig
from resnet_lab.training.recipes import RecipeConfig

# What changes no result but by rounding stays out of a run's identity; the record tells it.
LOCAL: dict[str, Any] = {"identity": False}


@dataclass
class TrainerConfig:
    """Where a run trains: what is local here changes rounding, and how many images a batch-norm statistic sees."""

    accelerator: str = field(default="auto", metadata=LOCAL)  # auto, cpu, gpu
    devices: int = field(default=1, metadata=LOCAL)
    num_nodes: int = field(default=1, metadata=LOCAL)
    strategy: str = field(default="auto", metadata=LOCAL)  # auto, ddp, fsdp
    sync_batch_norm: bool = False  # its statistics over the images of all devices
    compile: bool = field(default=False, metadata=LOCAL)
    deterministic: bool = field(default=False, metadata=LOCAL)
    # CPU threads of the run; None: the slot's share, or all cores
    threads: int | None = field(default=None, metadata=LOCAL)
    progress: bool = field(default=True, metadata=LOCAL)  # a bar on a terminal, plain lines elsewhere


@dataclass
class LoggerConfig:
    """Where metrics go beside history.csv, which is always written."""

    name: str = "csv"  # csv, wandb, tensorboard
    project: str = "resnet-lab"
    entity: str | None = None
    mode: str = "auto"  # wandb: auto (online with a key, else offline), online, offline
    tags: list[str] = field(default_factory=list)


@dataclass
class CheckpointConfig:
    every_iterations: int | None = None  # beside the end of each epoch
    every_minutes: float | None = 10.0
    keep: int = 2


@dataclass
class ProbeConfig:
    """Measurements of layers, written to a CSV file of the run folder every n epochs; 0: off."""

    layer_responses: int = 0  # he2015 Figure 7
    gradient_norms: int = 0


@dataclass
class CallbacksConfig:
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    probe: ProbeConfig = field(default_factory=ProbeConfig)


@dataclass
class TrainConfig:
    """One run: one configuration and one seed."""

    data: DataConfig
    model: ModelConfig
    recipe: RecipeConfig
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    logger: LoggerConfig = field(default_factory=LoggerConfig, metadata=LOCAL)
    callbacks: CallbacksConfig = field(default_factory=CallbacksConfig, metadata=LOCAL)
    name: str = field(default="scratch", metadata=LOCAL)  # the experiment, and its folder under runs_root
    answers: str | None = field(default=None, metadata=LOCAL)  # the table it answers, as in he2015/table6
    seed: int = 0
    precision: str = "32"  # 32, bf16, 16
    protocol: str = "single_view"  # how the final test is made: a name of training/protocols
    debug: bool = False  # a one-minute run through the same code
    runs_root: str = field(default="runs", metadata=LOCAL)
    run_dir: str | None = field(default=None, metadata=LOCAL)  # None: runs_root/name/label-hash
