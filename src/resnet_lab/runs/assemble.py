"""Everything that a run is trained with, built from its configuration."""

import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from lightning import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import Callback, LambdaCallback
from lightning.pytorch.loggers import Logger
from torch import nn

from resnet_lab import data as data_sets
from resnet_lab import models
from resnet_lab.config.own_code import check_sources
from resnet_lab.config.rules import check_statistics
from resnet_lab.config.schema import TrainConfig
from resnet_lab.data.datamodule import DataModule
from resnet_lab.extras import registered
from resnet_lab.files import write_text
from resnet_lab.models.counting import count
from resnet_lab.runs import numerics
from resnet_lab.runs.announce import Watch
from resnet_lab.runs.checkpoints import Checkpoints, remove_unfinished
from resnet_lab.runs.cost import CostMeter
from resnet_lab.runs.folder import RunFolder, threads_of
from resnet_lab.runs.lock import Lock
from resnet_lab.runs.record import Record
from resnet_lab.training import Classifier, extra, recipes
from resnet_lab.training import module as modules
from resnet_lab.training.averaging import MovingAverage
from resnet_lab.training.callbacks import OWN_COLUMNS, History, progress
from resnet_lab.training.metrics import Metrics
from resnet_lab.training.probes import GradientNorms, LayerResponses
from resnet_lab.training.protocols import Protocol, protocol
from resnet_lab.training.run_logger import STEPS, RunLogger, Steps, own_loggers

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """The parts with which a run is trained and tested."""

    data: DataModule
    net: nn.Module
    module: LightningModule
    held_at: str | None  # the name under which the module holds the net
    metrics: Metrics | None
    protocol: Protocol
    own: dict[str, Callback]  # the user's
    callbacks: list[Callback]  # all of them, in order
    cost: CostMeter
    checkpoints: Checkpoints
    logger: RunLogger
    loggers: list[Logger]  # the user's

    def described(self, record: Record) -> Record:
        """Return the record with what is known before training, also of a run that will fail."""
        shape = (self.data.info.channels, self.data.info.height, self.data.info.width)
        counted = asdict(count(self.net, shape))
        return replace(
            record,
            model=replace(record.model, **counted, input=list(shape)),
            without_state=extra.without_state(self.own),
            resumed_from=self.checkpoints.resumed_from,  # which grows when training goes on from one
        )


def put_together(folder: RunFolder, config: TrainConfig, lock: Lock | None) -> Parts:
    """Build what the configuration names; only the first process has the `lock`.

    Raises UserError where it cannot be built, or is not what it was.
    """
    check_sources(config)
    numerics.compute_with(threads_of(config))
    numerics.keep_freed()
    seed_everything(config.seed, verbose=False)
    recipe = config.recipe
    data = data_sets.build(
        config.data,
        batch_size=recipes.loader_batch_size(recipe),
        drop_last=recipe.drop_last,
        seed=config.seed,
    )
    net = models.build(config.model)
    metrics = None
    if config.metrics:
        metrics = Metrics(config.metrics, data.info.class_names, config.model.num_classes)
    module = modules.build(
        config.module._target_,
        config.module.args,
        net,
        recipe,
        data.info.classes,
        seed=config.seed,
        metrics=metrics,
        head=config.model.trained_head,
    )
    own = extra.made(
        config.callbacks.extra,
        validated=config.data.validation > 0 or data.info.validated,
        metrics=None if modules.tests_itself(module) else metrics.columns if metrics else (),
    )
    folder.checkpoints.mkdir(exist_ok=True)
    if lock is not None:
        remove_unfinished(folder.path)
    held_at = modules.place_of(module, net)
    cost, logger = CostMeter(), RunLogger()
    checkpoints = Checkpoints(folder.checkpoints, config, lock, held_at)
    callbacks = [
        *_callbacks(folder, config, module, first=lock is not None),
        *own.values(),
        *_files(folder, config, module, metrics, logger),
        cost,
        checkpoints,
    ]
    return Parts(
        data=data,
        net=net,
        module=module,
        held_at=held_at,
        metrics=metrics,
        protocol=protocol(config.protocol, crop=data.info.height),
        own=own,
        callbacks=callbacks,
        cost=cost,
        checkpoints=checkpoints,
        logger=logger,
        loggers=own_loggers(config.logger.extra),
    )


def _callbacks(
    folder: RunFolder, config: TrainConfig, module: LightningModule, *, first: bool
) -> Iterator[Callback]:
    """Yield them in this order; what the folder holds of the run is written before the checkpoint that knows of it."""
    yield LambdaCallback(setup=partial(_check_statistics, config))
    if not isinstance(module, Classifier):
        yield modules.Governed(config.recipe, config.seed)
    if first:
        yield LambdaCallback(setup=partial(_write_preprocessing, folder))
        yield LambdaCallback(setup=partial(_warn_of_emulation, config))
    if config.recipe.ema:
        yield MovingAverage(config.recipe.ema)
    probe = config.callbacks.probe
    if probe.layer_responses:
        yield LayerResponses(folder.path / "layer_responses.csv", probe.layer_responses)
    if probe.gradient_norms:
        yield GradientNorms(folder.path / "gradient_norms.csv", probe.gradient_norms)
    if config.debug:
        yield from registered("debug")["callbacks"](config.debug, folder.path, first=first)
    if config.trainer.progress:
        yield progress()
    if first:
        yield Watch(folder)


def _files(
    folder: RunFolder,
    config: TrainConfig,
    module: LightningModule,
    metrics: Metrics | None,
    logger: RunLogger,
) -> Iterator[Callback]:
    """Yield what writes history.csv and steps.csv."""
    if modules.tests_itself(module):
        yield History(folder.history_file, columns=OWN_COLUMNS, logger=logger)
    else:
        yield History(folder.history_file, metrics.columns if metrics else (), logger=logger)
    if every := config.logger.every_steps:
        batch, norm = recipes.loader_batch_size(config.recipe), config.logger.gradient_norm
        yield Steps(folder.path / STEPS, logger, every=every, batch_size=batch, gradient_norm=norm)


def _check_statistics(config: TrainConfig, trainer: Trainer, module: Any, stage: str) -> None:  # noqa: ARG001
    data: DataModule = trainer.datamodule  # type: ignore[attr-defined]
    check_statistics(config, data.info, trainer.world_size)


def _write_preprocessing(folder: RunFolder, trainer: Trainer, module: Any, stage: str) -> None:  # noqa: ARG001
    """Before the first checkpoint, whose net needs it as much as the last one's."""
    text = trainer.datamodule.preprocessing().to_json()  # type: ignore[attr-defined]
    write_text(folder.preprocessing_file, f"{text}\n")


def _warn_of_emulation(config: TrainConfig, trainer: Trainer, module: Any, stage: str) -> None:  # noqa: ARG001
    if line := numerics.emulated(config, trainer.strategy.root_device):
        log.warning(line)
