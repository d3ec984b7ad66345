"""What a run may not be: tables of conditions and what is said where one holds, each asked once. Free of torch.

`check_alone` asks what the configuration tells by itself, `check_with_data` what it takes the data set to know, and the
machine that trains asks `check_on_cpu` and `check_statistics`, which know its devices.
"""

import inspect
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from resnet_lab.config.schema import ALL, TrainConfig, TrainerConfig
from resnet_lab.data.spec import DataInfo, check_batches
from resnet_lab.errors import UserError, unknown
from resnet_lab.extras import registered
from resnet_lab.training import recipes

Rules = Iterable[tuple[object, str]]  # a condition, and what is said where it holds

LONGEST = 120  # bytes of one part of a name: the disk's 255, less what a run's label and hash need
OURS = {  # argument of Trainer -> the key that decides it
    "accelerator": "trainer.accelerator",
    "accumulate_grad_batches": "recipe.accumulate",
    "benchmark": "trainer.deterministic",
    "callbacks": "callbacks.extra",
    "default_root_dir": "runs_root",
    "deterministic": "trainer.deterministic",
    "devices": "trainer.devices",
    "enable_checkpointing": "callbacks.checkpoint",
    "enable_progress_bar": "trainer.progress",
    "fast_dev_run": "debug",
    "gradient_clip_algorithm": "recipe.clip",
    "gradient_clip_val": "recipe.clip",
    "logger": "logger",
    "max_epochs": "recipe.epochs",
    "max_steps": "recipe.iterations",
    "min_epochs": "recipe.epochs",
    "min_steps": "recipe.iterations",
    "num_nodes": "trainer.num_nodes",
    "overfit_batches": "data.train_images",
    "precision": "precision",
    "strategy": "trainer.strategy",
    "sync_batchnorm": "trainer.sync_batch_norm",
}
REFUSED = {  # argument of Trainer -> why no key decides it
    "barebones": "a run has its history and its checkpoints",
    "enable_model_summary": "resnet-lab models NAME --layers shows a net",
    "limit_predict_batches": "a run predicts nothing",
    "limit_test_batches": "the final test takes each image once; data.test_images takes fewer",
    "max_time": "runs that end by the clock cannot be compared; stop a run as you like, the same command resumes it",
    "model_registry": "the run's folder holds its weights",
    "num_sanity_val_steps": "each part is tried before anything is written",
    "plugins": "they write the checkpoints and start the processes of a run",
    "reload_dataloaders_every_n_epochs": "the loaders know the epoch",
    "use_distributed_sampler": "the loaders give each process its share",
}
COUNTS = ("limit_train_batches", "check_val_every_n_epoch", "val_check_interval", "log_every_n_steps")


def check_alone(config: TrainConfig) -> None:
    """Raise UserError for choices that make no sense together, whatever the data are."""
    _ask(_of_folder(config))
    _ask(_of_choices(config))
    if config.precision == "16":
        recipes.check_scaled(config.recipe)
    if config.trainer.accelerator == "cpu":
        check_on_cpu(config.trainer, config.precision, config.trainer.devices * config.trainer.num_nodes)
    _check_trainer_arguments(config.trainer.extra)


def check_with_data(
    config: TrainConfig, facts: DataInfo, *, trains: bool = True, own_task: bool = False
) -> None:
    """Raise UserError for choices that do not go with the data; `trains`: an epoch of them is to be trained."""
    _ask(_of_data(config, facts, own_task))
    if trains:
        trainer = config.trainer
        devices = 1 if trainer.devices == ALL else trainer.devices * trainer.num_nodes
        batch = recipes.loader_batch_size(config.recipe)
        check_batches(facts.training, batch, drop_last=config.recipe.drop_last, world=devices)
        check_statistics(config, facts, devices)


def _ask(rules: Rules) -> None:
    for holds, message in rules:
        if holds:
            raise UserError(message)


def _of_choices(config: TrainConfig) -> Rules:
    recipe, probe = config.recipe, config.callbacks.probe
    yield (
        recipe.freeze == "backbone" and not config.model.begins_trained,
        "recipe.freeze=backbone needs trained weights, for example model.weights=imagenet",
    )
    yield (
        config.protocol != "single_view" and not config.data.any_size,
        f"protocol={config.protocol}: images of {config.data.name} are tested as they are: protocol=single_view",
    )
    yield (
        config.extends is not None,
        f"extends={config.extends}: resnet-lab train --extend RUN recipe.epochs=N fills it in",
    )
    best = config.callbacks.checkpoint.best
    yield (
        best is not None and not best.startswith("val/"),
        f"callbacks.checkpoint.best={best}: it is chosen on the validation images alone, by val/error for example",
    )
    yield (
        config.test_with == "best" and best is None,
        "test_with=best needs a figure to choose by: callbacks.checkpoint.best=val/error",
    )
    for tracker in set(config.logger.trackers) - set(registered("tracker")):
        yield True, f"logger={tracker} needs the extra resnet_lab/tracking, which is not here: logger=csv"
    # A device has a part of each weight and of each gradient.
    sharded = config.trainer.strategy == "fsdp"
    no_momentum = recipe.optimizer == "sgd" and not recipe.momentum
    for chosen, choice, why in (
        (
            recipe.optimizer in ("lars", "lamb"),
            f"recipe.optimizer={recipe.optimizer}",
            "compares whole layers",
        ),
        (recipe.sam, f"recipe.sam={recipe.sam}", "takes the norm of all gradients"),
        (recipe.clip, f"recipe.clip={recipe.clip}", "takes the norm of all gradients"),
        (recipe.ema, f"recipe.ema={recipe.ema}", "averages whole weights"),
        (
            no_momentum,
            f"recipe.momentum={recipe.momentum}",
            "leaves the optimiser without a state, from which no sharded run resumes",
        ),
        (config.trainer.compile, "trainer.compile=true", "makes one graph of the whole net"),
        (probe.layer_responses, "callbacks.probe.layer_responses", "measures whole layers"),
        (probe.gradient_norms, "callbacks.probe.gradient_norms", "measures whole layers"),
    ):
        yield (
            sharded and chosen,
            f"trainer.strategy=fsdp does not go with {choice}, which {why}: a residual net fits a GPU,"
            " use trainer=ddp",
        )


def _of_data(config: TrainConfig, facts: DataInfo, own_task: bool) -> Rules:
    net, name = config.model, config.data.name
    best = config.callbacks.checkpoint.best
    figures = [f"val/{each}" for each in ("error", "loss", "top5_error", *config.metrics)]
    yield (
        best is not None and not (own_task or config.callbacks.extra) and not best.startswith(tuple(figures)),
        f"callbacks.checkpoint.best={best}: no such figure is logged; allowed: {', '.join(figures)}",
    )
    yield (
        best is not None and not (config.data.validation > 0 or facts.validated),
        f"callbacks.checkpoint.best={best} needs validation images: data.validation=N sets some aside",
    )
    yield (
        net.in_channels != facts.channels,
        f"model.in_channels={net.in_channels}: images of {name} have {facts.channels}",
    )
    yield (
        not own_task and net.num_classes is not None and net.num_classes < facts.classes,
        f"model.num_classes={net.num_classes}: {name} has {facts.classes} classes",
    )


def check_on_cpu(trainer: TrainerConfig, precision: str, devices: int) -> None:
    """Raise UserError for what a CPU cannot do; `devices`: of all nodes."""
    _ask(
        (
            # Lightning would compute in bf16 then, without a word.
            (precision == "16", "precision=16 is for GPUs: on a CPU use precision=bf16 or 32"),
            (trainer.strategy == "fsdp", "trainer.strategy=fsdp needs GPUs"),
            (
                trainer.sync_batch_norm and devices > 1,
                "trainer.sync_batch_norm needs GPUs: PyTorch has none for the CPU",
            ),
        )
    )


def check_statistics(config: TrainConfig, facts: DataInfo, devices: int) -> None:
    """Raise UserError where one of the devices trains one image on a map of 1x1, of which there is no variance."""
    net = config.model
    if config.recipe.freeze == "backbone" or not net.normalises_pixels(facts.height, facts.width):
        return
    apart = 1 if config.trainer.sync_batch_norm else devices
    recipes.check_statistics(config.recipe, facts.training, apart)


def _of_folder(config: TrainConfig) -> Rules:
    """Yield where a run may lie: inside its root, in a folder of its own, under a name that every disk takes."""
    yield from _of_name("name", config.name, LONGEST)
    yield (
        any(part in ("", ".", "..") for part in config.name.split("/")),
        f"name={config.name}: must be words and slashes between them, for example claims/batch_norm",
    )
    yield from _of_name("runs_root", config.runs_root)
    root = Path(config.runs_root)
    yield root.exists() and not root.is_dir(), f"runs_root={root} is not a folder"
    if config.run_dir is not None:
        yield from _of_name("run_dir", config.run_dir)
        yield from _of_run_dir(Path(config.run_dir))


def _of_name(key: str, text: str, longest: int = 255) -> Rules:
    yield not text.strip(), f"{key} is empty: name a folder"
    yield not text.isprintable(), f"{key}={text!a}: a line break or another control character is in it"
    yield (
        any(len(part.encode()) > longest for part in text.split("/")),
        f"{key}={text[:20]}…: must be at most {longest} bytes between two slashes",
    )


def _of_run_dir(folder: Path) -> Rules:
    try:
        yield folder.exists() and not folder.is_dir(), f"run_dir={folder} is not a folder"
        taken = folder.is_dir() and any(folder.iterdir()) and not (folder / "config.yaml").exists()
        yield taken, f"run_dir={folder} holds other files, and no run: name a folder of the run's own"
    except OSError as error:
        yield True, f"run_dir={folder}: {error.strerror}"


def _check_trainer_arguments(extra: Mapping[str, Any]) -> None:
    """Raise UserError for an argument that Lightning's Trainer does not take, or that is not to be given here."""
    if not extra:
        return
    from lightning import Trainer

    allowed = [name for name in inspect.signature(Trainer).parameters if name not in {*OURS, *REFUSED}]
    for name in extra:
        if name in OURS:
            raise UserError(f"trainer.extra.{name}: {OURS[name]} decides it")
        if name in REFUSED:
            raise UserError(f"trainer.extra.{name} is not taken: {REFUSED[name]}")
        if name not in allowed:
            raise unknown("key of trainer.extra", name, allowed)
        if name in COUNTS and isinstance(extra[name], int | float) and not extra[name] > 0:
            raise UserError(f"trainer.extra: {name}={extra[name]}: must be greater than 0")
    ornaments: dict[str, Any] = {"enable_checkpointing": False, "enable_progress_bar": False}
    try:
        with _quiet():
            Trainer(accelerator="cpu", logger=False, enable_model_summary=False, **ornaments, **extra)
    except Exception as error:  # Lightning has errors of many kinds for a value that it does not take
        given = ", ".join(f"{name}={value}" for name, value in extra.items())
        raise UserError(f"trainer.extra: {given}: {' '.join(str(error).split())}") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what a Trainer says of the machine."""
    log = logging.getLogger("lightning.pytorch")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
