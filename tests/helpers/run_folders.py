"""Run folders on disk, as the product leaves them in each state."""

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from resnet_lab.config.schema import TrainConfig
from resnet_lab.data.spec import SmallImagesConfig
from resnet_lab.models.description import ModelConfig
from resnet_lab.report import FoundRun, Group
from resnet_lab.report.choices import complete
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.record import Cost, DataFacts, Failure, Record, State
from resnet_lab.runs.recording import opened
from resnet_lab.training.recipes import RecipeConfig

METRICS = "train/loss,train/error,val/loss,val/error,test/loss,test/error,test/top5_error"
COLUMNS = f"epoch,iteration,lr,{METRICS},seconds"
EPOCHS = 12
COUNTS = {  # parameters and multiply-adds
    (20, "basic"): (269_722, 40_551_040),
    (56, "basic"): (853_018, 125_485_696),
    (56, "bottleneck"): (585_674, 82_000_000),
}


def configured(
    root: Path, depth: int = 20, shortcut: str = "A", seed: int = 0, *, name: str = "quickstart", **more: Any
) -> TrainConfig:
    """A configuration; `more` sets dotted keys, as ``{"recipe.lr": 0.3}``."""
    config = TrainConfig(
        data=SmallImagesConfig(name="digits", pad=1, flip=False),
        model=ModelConfig(depth=depth, block="basic", shortcut=shortcut, in_channels=1, num_classes=10),
        recipe=RecipeConfig(name="digits", epochs=12, batch_size=64, schedule="one_cycle"),
        seed=seed,
        name=name,
        runs_root=str(root),
    )
    for key, value in more.items():
        group, _, field = key.rpartition(".")
        part = replace(getattr(config, group) if group else config, **{field: value})
        config = replace(config, **{group: part}) if group else part
    return replace(config, model=config.model.resolved())


def started(config: TrainConfig) -> RunFolder:
    """A folder that was made and given to nobody yet."""
    return RunFolder.create(config)


def interrupted(config: TrainConfig, errors: Sequence[float] = (50.0, 20.0)) -> RunFolder:
    """A run that was killed after some epochs."""
    folder = started(config)
    folder.lock_file.write_text("{}")
    write_history(folder, errors)
    return folder


def failed(config: TrainConfig, kind: str = "nonfinite_loss") -> RunFolder:
    folder = interrupted(config, [90.0])
    folder.write_record(lost(config, kind))
    return folder


def finished(config: TrainConfig, error: float, **more: Any) -> RunFolder:
    """A run that ended at this test error (per cent); `more` as for `ended`."""
    folder = interrupted(config, [85.0 * math.exp(-epoch) + error for epoch in range(EPOCHS - 1)] + [error])
    folder.write_record(ended(config, error, **more))
    return folder


def group(depth: int, shortcut: str, *errors: float, diverged: int = 0, **more: Any) -> Group:
    """Finished runs with these test errors, and runs that diverged; without files."""
    seeds = range(len(errors) + diverged)
    configs = [configured(Path("runs"), depth, shortcut, seed, **more) for seed in seeds]
    records = [ended(config, error) for config, error in zip(configs, errors, strict=False)]
    records += [lost(config) for config in configs[len(errors) :]]
    return Group(tuple(run_of(config, record) for config, record in zip(configs, records, strict=True)))


def run_of(config: TrainConfig, record: Record) -> FoundRun:
    """What is read from a folder with this record and no history."""
    path, choices = Path("runs") / config.model.label, complete(asdict(config))
    net = {"depth": config.model.depth, "kind": config.model.kind, "label": config.model.label}
    return FoundRun(path, record.state, choices, record, {}, seed=config.seed, **net)


def ended(
    config: TrainConfig, error: float, *, train: float | None = None, best: int | None = None
) -> Record:
    """The record of a finished run; `best` is the epoch of the lowest validation error."""
    iteration = config.recipe.iterations or EPOCHS * 22
    record = opened(config)
    facts = COUNTS.get((config.model.depth, config.model.block), (1_000_000, 50_000_000))
    record.model.parameters, record.model.multiply_adds = facts
    record.data = DataFacts(config.data.name, 1347, 0, 450, config.model.num_classes)
    record.last = {"epoch": EPOCHS - 1, "iteration": iteration}
    record.last |= {"train/error": error / 2 if train is None else train, "test/error": error}
    record.best = {} if best is None else {"val/error": 1.0, "epoch": best}
    record.cost = Cost(train_seconds=config.model.depth / 2 + config.seed, total_seconds=60.0)
    return replace(record, state=State.FINISHED)


def lost(config: TrainConfig, kind: str = "nonfinite_loss") -> Record:
    """The record of a run that failed."""
    return replace(opened(config), error=Failure(kind, "the loss is nan at iteration 17"))


def write_history(folder: RunFolder, errors: Sequence[float]) -> None:
    """history.csv with these test errors; the training error is half of each."""
    rows = [
        f"{epoch},{22 * (epoch + 1)},0.1,0.5,{error / 2},,,0.6,{error},,1.5\n"
        for epoch, error in enumerate(errors)
    ]
    folder.history_file.write_text(f"{COLUMNS}\n{''.join(rows)}")


def measure(folder: RunFolder, what: str, epochs: dict[int, Sequence[float]]) -> None:
    """What the probe of this name writes: a value for each layer at each measured epoch."""
    rows = [
        f"{epoch},{layer},layer1.{layer}.conv1,{value}\n"
        for epoch, values in epochs.items()
        for layer, value in enumerate(values, start=1)
    ]
    (folder.path / f"{what}.csv").write_text(f"epoch,layer_index,layer,value\n{''.join(rows)}")


def quickstart(root: Path) -> Path:
    """The finished quickstart, with the figures that the field notes give; returns its folder."""
    ends = {
        (20, "none"): (1.2, 1.6),
        (56, "none"): (64.0, 82.0),
        (20, "A"): (0.7, 0.9),
        (56, "A"): (0.6, 1.0),
    }
    for (depth, shortcut), errors in ends.items():
        for seed, error in enumerate(errors):
            finished(configured(root, depth, shortcut, seed), error)
    return root / "quickstart"
