"""The typed configuration of one run. Free of torch, so that a mistake is told at once."""

from dataclasses import dataclass, field
from typing import Any

from resnet_lab import reference
from resnet_lab.config.precision import PRECISIONS
from resnet_lab.data.spec import DataConfig
from resnet_lab.fields import LOCAL, Text, choice, local, number, path, text
from resnet_lab.models.description import NetConfig
from resnet_lab.training.protocols import PROTOCOLS
from resnet_lab.training.recipes import RecipeConfig

DEBUG = ("overfit", "profile", "limit")  # beside true
ALL = -1  # trainer.devices: as many as there are
# Of what trainer.extra hands to Lightning's Trainer: changes no result.
HARMLESS = ("profiler", "detect_anomaly", "log_every_n_steps", "enable_autolog_hparams")


@dataclass
class TrainerConfig:
    """Where a run trains: what is local here changes rounding, and how many images a batch-norm statistic sees."""

    accelerator: str = choice("auto", ("auto", "cpu", "gpu"), identity=False)
    devices: int = number(1, least=1, also=ALL, identity=False)  # -1 or auto: all of them
    num_nodes: int = number(1, least=1, identity=False)
    strategy: str = choice("auto", ("auto", "ddp", "fsdp"), identity=False)
    sync_batch_norm: bool = False  # its statistics over the images of all devices
    compile: bool = local(False)
    deterministic: bool = local(False)
    # CPU threads of each process, fixed with the folder; None: 1 for small images, else the share of its cores.
    threads: int | None = number(None, least=1, most=1024, identity=False)
    progress: bool = local(True)  # a bar on a terminal, plain lines elsewhere
    # Any other argument of Lightning's Trainer, as {limit_train_batches: 10}.
    extra: dict[str, Any] = field(default_factory=dict, metadata={"local_keys": HARMLESS})


LOGGERS = ("csv", "wandb", "tensorboard")
NO_NAME = "/\\#?%:"  # characters that W&B has in no name


@dataclass
class LoggerConfig:
    """Where metrics go beside history.csv, which is always written."""

    name: str = choice("csv", LOGGERS)
    names: list[str] = field(
        default_factory=list, metadata={"choices": LOGGERS}
    )  # several; empty: `name` alone
    project: str | None = text(None, most=128, without=NO_NAME)  # None: WANDB_PROJECT, or resnet-lab
    entity: str | None = text(None, most=128, without=NO_NAME)  # None: WANDB_ENTITY, or W&B's default
    # auto: as WANDB_MODE says, else online with a key and offline without
    mode: str = choice("auto", ("auto", "online", "offline", "disabled"))
    tags: list[str] = field(default_factory=list, metadata={"text": Text(most=64)})
    artifacts: bool = False  # the weights of a finished run, as an artifact of W&B's

    @property
    def trackers(self) -> list[str]:
        """Who is told beside history.csv."""
        names = dict.fromkeys(self.names or [self.name])
        return [name for name in names if name != "csv" and (name, self.mode) != ("wandb", "disabled")]


@dataclass
class ModuleConfig:
    """What trains: a subclass of resnet_lab.training.Classifier, or any other LightningModule, by its dotted path."""

    _target_: str = ""  # empty: Classifier itself
    args: dict[str, Any] = field(default_factory=dict)


@dataclass
class ObjectiveConfig:
    """What a run is judged by: what a report compares, a search optimises and the best epoch means."""

    metric: str = text("test/error", most=128)
    mode: str = choice("min", ("min", "max"))

    @property
    def validated(self) -> str:
        """The same figure of the validation images, by which a best epoch or a trial is chosen."""
        return self.metric.replace("test", "val", 1)

    @property
    def words(self) -> str:
        return self.metric.replace("/", " ")

    def cell(self, value: float) -> str:
        """Return a value with its unit: errors are per cent."""
        return f"{value:.2f} %" if self.metric.endswith("error") else f"{value:.4g}"

    def said(self, value: float | None) -> str:
        """Return the figure in words."""
        return f"but no {self.metric} was logged" if value is None else f"{self.words} {self.cell(value)}"


@dataclass
class CheckpointConfig:
    every_iterations: int | None = number(None, least=1)  # beside the end of each epoch
    every_minutes: float | None = number(10.0, above=0)
    keep: int = number(2, least=1)


@dataclass
class ProbeConfig:
    """Measurements of layers, written to a CSV file of the run folder every n epochs; 0: off."""

    layer_responses: int = number(0, least=0)  # he2015 Figure 7
    gradient_norms: int = number(0, least=0)


@dataclass
class CallbacksConfig:
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig, metadata=LOCAL)
    probe: ProbeConfig = field(default_factory=ProbeConfig, metadata=LOCAL)
    # Lightning callbacks of one's own: name -> {_target_: …, argument: …}, with identity: false where one changes no
    # result (training/extra.py).
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
    # Further metrics of each evaluation: name -> {_target_: …, argument: …} (training/metrics.py).
    metrics: dict[str, Any] = field(default_factory=dict, metadata=LOCAL)
    name: str = local("scratch")  # the experiment, and its folder under runs_root
    # The table that it answers, as in he2015/table6.
    answers: str | None = choice(None, reference.names, identity=False)
    # Of the code of one's own that the configuration names: dotted path -> digest; filled in when composed.
    sources: dict[str, str] = field(default_factory=dict)
    seed: int = number(0, least=0, most=2**32 - 1)  # what NumPy takes
    # 32: as PyTorch has it, TF32 in a GPU's convolutions; 32-ieee: without
    precision: str = choice("32", PRECISIONS)
    protocol: str = choice("single_view", PROTOCOLS)  # how the final test is made
    # true: a one-minute run through the same code; or one of the others of config/debug.py
    debug: bool | str = field(default=False, metadata={"choices": DEBUG})
    runs_root: str = path("runs", identity=False)
    run_dir: str | None = path(None, identity=False)  # None: runs_root/name/label-hash
