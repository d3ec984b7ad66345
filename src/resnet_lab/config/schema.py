"""The typed configuration of one run. Free of torch, so that a mistake is reported at once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from operator import gt, lt
from typing import Any

from resnet_lab import reference
from resnet_lab.columns import Column, objective
from resnet_lab.data.spec import DataConfig
from resnet_lab.fields import LOCAL, Text, choice, local, number, path, text
from resnet_lab.models.net_config import NetConfig
from resnet_lab.training.protocols import PROTOCOLS
from resnet_lab.training.recipes import RecipeConfig


@dataclass(frozen=True)
class Precision:
    """Weights are always of 32 bits; operations that allow it may take fewer."""

    lightning: str  # for its Trainer
    autocast: str | None = (
        None  # PyTorch's name of the narrower type, for example ``getattr(torch, "bfloat16")``
    )
    tf32: bool = True  # whether a GPU (Ampere and later) may convolve with inputs of 10 bits, which is faster


PRECISIONS = {
    "32": Precision("32-true"),
    "32-ieee": Precision("32-true", tf32=False),
    "bf16": Precision("bf16-mixed", "bfloat16"),
    "16": Precision("16-mixed", "float16"),
}

DEBUG = ("overfit", "profile", "limit", "lr_range", "batch")  # beside true
ALL = -1  # trainer.devices: as many as there are
# Of what trainer.extra hands to Lightning's Trainer: changes no result.
HARMLESS = ("profiler", "detect_anomaly", "log_every_n_steps", "enable_autolog_hparams")


@dataclass
class TrainerConfig:
    """Where a run trains: what is local here changes rounding, and how many images a batch-norm statistic sees."""

    # device type; auto: a GPU if there is one
    accelerator: str = choice("auto", ("auto", "cpu", "gpu"), identity=False)
    # devices per node; -1 or auto: all of them
    devices: int = number(1, least=1, also=ALL, identity=False)
    # machines that train one run together
    num_nodes: int = number(1, least=1, identity=False)
    # how several devices share a run; auto: ddp for more than one device
    strategy: str = choice("auto", ("auto", "ddp", "fsdp"), identity=False)
    # compute batch-norm statistics over the images of all devices
    sync_batch_norm: bool = False
    # compile the model with torch.compile
    compile: bool = local(False)
    # use only deterministic algorithms on a GPU, which may be slower
    deterministic: bool = local(False)
    # CPU threads of each process, fixed when the folder is made; null: 1 for small images, otherwise its
    # share of the cores
    threads: int | None = number(None, least=1, most=1024, identity=False)
    # show a progress bar on a terminal, and plain lines elsewhere
    progress: bool = local(True)
    # other arguments of Lightning's Trainer, for example {limit_train_batches: 10}
    extra: dict[str, Any] = field(default_factory=dict, metadata={"local_keys": HARMLESS})


LOGGERS = ("csv", "wandb", "tensorboard")
NO_NAME = "/\\#?%:"  # characters that W&B has in no name


@dataclass
class LoggerConfig:
    """Where metrics go beside history.csv, which is always written."""

    # where metrics go, in addition to history.csv
    name: str = choice("csv", LOGGERS)
    # several loggers; empty: only the one in logger.name
    names: list[str] = field(default_factory=list, metadata={"choices": LOGGERS})
    # W&B project; null: WANDB_PROJECT, or resnet-lab
    project: str | None = text(None, most=128, without=NO_NAME)
    # W&B user or team; null: WANDB_ENTITY, or W&B's default
    entity: str | None = text(None, most=128, without=NO_NAME)
    # auto: as WANDB_MODE says, otherwise online with a key and offline without
    mode: str = choice("auto", ("auto", "online", "offline", "disabled"))
    # tags of the runs in W&B
    tags: list[str] = field(default_factory=list, metadata={"text": Text(most=64)})
    # notes on the runs in W&B
    notes: str | None = None
    # upload the weights of a finished run as a W&B artifact
    artifacts: bool = False
    # upload the newest checkpoint as a W&B artifact, every 10 minutes and when the run is interrupted
    checkpoints: bool = False
    # iterations between the rows of steps.csv, at least so many that there are at most 1,000; 0: none
    every_steps: int = number(50, least=0)
    # the norm of the gradients in steps.csv
    gradient_norm: bool = False
    # Lightning loggers of your own, next to these: {name: {_target_: dotted.path, argument: value}}
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def trackers(self) -> list[str]:
        """Return the trackers that get the metrics as well as history.csv."""
        names = dict.fromkeys(self.names or [self.name])
        return [name for name in names if name != "csv" and (name, self.mode) != ("wandb", "disabled")]


@dataclass
class ModuleConfig:
    """What trains: a subclass of resnet_lab.training.Classifier, or any other LightningModule, by its dotted path."""

    # dotted path of your LightningModule; empty: Classifier
    _target_: str = ""
    # arguments of your module
    args: dict[str, Any] = field(default_factory=dict)


@dataclass
class ObjectiveConfig:
    """What a run is judged by: what a report compares, a search optimises and the best epoch means."""

    # the logged figure by which runs are compared, for example test/iou
    metric: str = text("test/error", most=128)
    # whether a lower (min) or a higher (max) value is better
    mode: str = choice("min", ("min", "max"))

    @property
    def validated(self) -> str:
        """Return the name of the same figure on the validation images, by which a best epoch or a trial is chosen."""
        return self.metric.replace("test", "val", 1)

    @property
    def column(self) -> Column:
        """Return what tables call the figure, and how they print it."""
        return objective(self.metric, self.mode)

    def said(self, value: float | None) -> str:
        """Return the figure in words."""
        column = self.column
        return (
            f"but no {self.metric} was logged" if value is None else f"{column.heading} {column.said(value)}"
        )


@dataclass
class CheckpointConfig:
    # write a checkpoint every n iterations, in addition to the end of each epoch
    every_iterations: int | None = number(None, least=1, identity=False)
    # write a checkpoint at least this often; null: only at the end of each epoch
    every_minutes: float | None = number(10.0, above=0, identity=False)
    # how many checkpoints to keep
    keep: int = number(2, least=1, identity=False)
    # also keep the checkpoint of the epoch that is best by this figure of the validation images, for example
    # val/error, as checkpoints/best.ckpt
    best: str | None = text(None, most=128)

    @property
    def better(self) -> Callable[[float, float], bool]:
        """Return how a figure is better than another: errors and losses where they are lower, others where higher."""
        return lt if self.best is not None and self.best.endswith(("error", "loss")) else gt


@dataclass
class ProbeConfig:
    """Measurements of layers, written to a CSV file of the run folder every n epochs; 0: off."""

    # measure the response of each layer every n epochs (He et al., 2015, Figure 7); 0: off
    layer_responses: int = number(0, least=0)
    # measure the gradient norm of each layer every n epochs; 0: off
    gradient_norms: int = number(0, least=0)


@dataclass
class CallbacksConfig:
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    probe: ProbeConfig = field(default_factory=ProbeConfig, metadata=LOCAL)
    # your Lightning callbacks: name -> {_target_: …, argument: …}; add identity: false for one that changes
    # no result
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class TrainConfig:
    """One run: one configuration and one seed."""

    data: DataConfig
    model: NetConfig
    recipe: RecipeConfig
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    logger: LoggerConfig = field(default_factory=LoggerConfig, metadata=LOCAL)
    callbacks: CallbacksConfig = field(default_factory=CallbacksConfig)
    module: ModuleConfig = field(default_factory=ModuleConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig, metadata=LOCAL)
    # further metrics of each evaluation: name -> {_target_: …, argument: …}
    metrics: dict[str, Any] = field(default_factory=dict, metadata=LOCAL)
    # name of the experiment, and of its folder below runs_root
    name: str = local("scratch")
    # the table of a paper that the experiment answers, for example he2015/table6
    answers: str | None = choice(None, reference.names, identity=False)
    # digests of your own code that the configuration names; filled in automatically
    sources: dict[str, str] = field(default_factory=dict)
    # seed of the initial weights, the order of the images and the augmentation
    seed: int = number(0, least=0, most=2**32 - 1)
    # 32: PyTorch's default, with TF32 in a GPU's convolutions; 32-ieee: without TF32; bf16, 16: mixed
    # precision
    precision: str = choice("32", PRECISIONS)
    # how the final test is made
    protocol: str = choice("single_view", PROTOCOLS)
    # the run that this one goes on from, and its last iteration; filled in by train --extend
    extends: str | None = None
    # the weights that are tested, kept and packed: of the last iteration, or of callbacks.checkpoint.best
    test_with: str = choice("last", ("last", "best"))
    # true: a one-minute run through the same code; overfit: overfit one batch; profile: profile a few steps
    debug: bool | str = field(default=False, metadata={"choices": DEBUG})
    # folder below which the runs of all experiments are stored
    runs_root: str = path("runs", identity=False)
    # folder of this run; null: runs_root/name/label-hash
    run_dir: str | None = path(None, identity=False)
