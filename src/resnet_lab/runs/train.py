"""The one place where model, data and training meet."""

import logging
import sys
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import Callback, LambdaCallback
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from resnet_lab import data as data_sets
from resnet_lab import models
from resnet_lab.config.rules import check_statistics
from resnet_lab.config.schema import PRECISIONS, TrainConfig
from resnet_lab.config.targets import check_sources
from resnet_lab.data.module import DataModule
from resnet_lab.extras import registered
from resnet_lab.files import digest_of, write_text
from resnet_lab.models.counting import count
from resnet_lab.models.resnet import ResNet
from resnet_lab.runs import numerics, weights_file
from resnet_lab.runs.checkpoints import (
    Checkpoints,
    best_sound,
    newest_sound,
    remove_unfinished,
    weights_of,
)
from resnet_lab.runs.compiled import compile_in_place
from resnet_lab.runs.cost import CostMeter
from resnet_lab.runs.devices import Process, compute_with, trainer_arguments
from resnet_lab.runs.evidence import SOURCES
from resnet_lab.runs.final_test import final_test, own_test
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.lock import Lock
from resnet_lab.runs.memory import keep_freed
from resnet_lab.runs.record import BatchNorm, Record
from resnet_lab.runs.recording import scores
from resnet_lab.runs.signals import Signals
from resnet_lab.runs.tell import trackers
from resnet_lab.runs.threads import threads_of
from resnet_lab.runs.watch import Watch
from resnet_lab.training import Classifier, extra, recipes
from resnet_lab.training import module as modules
from resnet_lab.training.averaging import MovingAverage
from resnet_lab.training.batch_norm import recompute
from resnet_lab.training.callbacks import OWN_COLUMNS, History, progress, silence
from resnet_lab.training.metrics import Metrics
from resnet_lab.training.probes import GradientNorms, LayerResponses
from resnet_lab.training.protocols import protocol
from resnet_lab.training.run_logger import EVERY, STEPS, RunLogger, Steps, own_loggers

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """What a run is trained with: images, net, module, callbacks of the user's own, and its checkpoints."""

    data: DataModule
    net: nn.Module
    module: LightningModule
    held_at: str | None  # the name under which the module holds the net
    metrics: Metrics | None
    own: dict[str, Callback]
    checkpoints: Checkpoints

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
    """Build what the configuration names. Raises UserError where it cannot be built, or is not what it was."""
    check_sources(config)
    compute_with(threads_of(config))
    keep_freed()
    seed_everything(config.seed, verbose=False)
    recipe = config.recipe
    data = data_sets.build(
        config.data,
        batch_size=recipes.loader_batch_size(recipe),
        drop_last=recipe.drop_last,
        seed=config.seed,
    )
    net = models.build(config.model)
    metrics = _metrics(config, data)
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
    held_at = modules.place_of(module, net)
    own = extra.made(
        config.callbacks.extra,
        validated=config.data.validation > 0 or data.info.validated,
        metrics=None if modules.tests_itself(module) else metrics.columns if metrics else (),
    )
    return Parts(data, net, module, held_at, metrics, own, _checkpoints(folder, config, lock, held_at))


def train(folder: RunFolder, config: TrainConfig, here: Process, parts: Parts, record: Record) -> Record:
    """Train to the last iteration, from the last sound checkpoint if there is one, then test.

    Returns the record with what it found. Only the first process writes.
    """
    recipe, data, net, module = config.recipe, parts.data, parts.net, parts.module
    how = protocol(config.protocol, crop=data.info.height)
    if config.trainer.strategy == "fsdp":
        # It reads the optimiser's state back as if weights lay in this order, whatever theirs is.
        net.to(memory_format=torch.contiguous_format)
    if config.trainer.compile:
        compile_in_place(net)
    cost, checkpoints = CostMeter(), parts.checkpoints
    logger, loggers = RunLogger(), own_loggers(config.logger.extra)
    with numerics.as_configured(config), trackers(config, folder, record, first=here.is_first) as tracked:
        trainer = Trainer(
            **trainer_arguments(config.trainer, here, config.precision, units=isinstance(net, ResNet)),
            **recipes.trainer_arguments(recipe),
            precision=PRECISIONS[config.precision].lightning,  # type: ignore[arg-type]
            deterministic=config.trainer.deterministic,
            benchmark=not config.trainer.deterministic,
            callbacks=[
                *_callbacks(folder, config, here, module),
                *parts.own.values(),
                _history(folder, module, parts.metrics, logger),
                *_steps(folder, config, logger),
                cost,
                checkpoints,
                *tracked.callbacks,
            ],
            logger=[logger, *loggers],
            log_every_n_steps=config.trainer.extra.get(
                "log_every_n_steps", config.logger.every_steps or EVERY
            ),
            default_root_dir=folder.path,
            use_distributed_sampler=False,  # the loaders give each process its share
            num_sanity_val_steps=0,
            enable_model_summary=False,
            **{name: value for name, value in config.trainer.extra.items() if name != "log_every_n_steps"},
            enable_progress_bar=config.trainer.progress and sys.stdout.isatty(),
        )
        silence(trainer.callbacks)  # type: ignore[attr-defined]
        start = newest_sound(folder.checkpoints, config, net if parts.held_at else None)
        trainer.fit(module, datamodule=data, ckpt_path=start, weights_only=True)

        last = checkpoints.last or start  # whatever else lies there
        assert last is not None
        if config.test_with == "best":
            last = best_sound(folder.checkpoints, config, checkpoints.best.get("iteration"))
        changed = False
        if parts.held_at is not None:
            net = _final_net(last, config, data, trainer)
            if parts.own and config.test_with == "last" and config.trainer.strategy != "fsdp":
                changed = _is_changed(module.get_submodule(parts.held_at), net)
        spent = cost.facts()
        found = replace(
            record,
            stopped_early_at=checkpoints.stopped_early_at,
            weights_of_a_callback=checkpoints.swapped and not recipe.ema,
            changed_after_training=changed,
            hyperparameters=logger.hyperparameters,
            kept=dict(checkpoints.best),
            tested=config.test_with,
            data=replace(
                record.data,
                classes=data.info.classes,
                not_promised=data.not_promised or None,
                **data.sizes,  # type: ignore[arg-type]
            ),
            cost=spent,
            numerics=numerics.describe(config, trainer.strategy.root_device, trainer.world_size),
            batch_norm=_batch_norm(config, net, spent.trained_on[-1]),
        )
        if modules.tests_itself(module):
            error = own_test(module, data, trainer, last)
        else:
            error = final_test(folder, net, data, how, trainer, parts.metrics)
        if here.is_first:
            if parts.held_at is not None:
                weights_file.write(folder.weights_file, net, config.model, data.preprocessing())
            left = (
                *folder.path.glob("*.csv"),
                folder.path / SOURCES,
                folder.preprocessing_file,
                folder.weights_file,
            )
            found.files = {path.name: digest_of(path) for path in sorted(left) if path.is_file()}
            found.last, found.best = scores(folder.history_file, error, config.objective)
        tracked.record = found
    return found


def _batch_norm(config: TrainConfig, net: nn.Module, devices: int) -> BatchNorm:
    """Return how many images each statistic saw; nothing of a net without batch norm."""
    if not any(isinstance(module, _BatchNorm) for module in net.modules()):
        return BatchNorm()
    synced = config.trainer.sync_batch_norm
    return BatchNorm(recipes.images_per_statistic(config.recipe, devices, synced=synced), synced)


def _history(
    folder: RunFolder, module: LightningModule, metrics: Metrics | None, logger: RunLogger
) -> History:
    if modules.tests_itself(module):
        return History(folder.history_file, columns=OWN_COLUMNS, logger=logger)
    return History(folder.history_file, metrics.columns if metrics else (), logger=logger)


def _steps(folder: RunFolder, config: TrainConfig, logger: RunLogger) -> list[Steps]:
    every, batch = config.logger.every_steps, recipes.loader_batch_size(config.recipe)
    if not every:
        return []
    norm = config.logger.gradient_norm
    return [Steps(folder.path / STEPS, logger, every=every, batch_size=batch, gradient_norm=norm)]


def _metrics(config: TrainConfig, data: DataModule) -> Metrics | None:
    names, outputs = data.info.class_names, config.model.num_classes
    return Metrics(config.metrics, names, outputs) if config.metrics else None


def _callbacks(
    folder: RunFolder, config: TrainConfig, here: Process, module: LightningModule
) -> list[Callback]:
    """In this order; what the folder holds of the run is written before the checkpoint that knows of it."""
    chosen: list[Callback] = [LambdaCallback(setup=partial(_check_statistics, config))]
    if not isinstance(module, Classifier):
        chosen.append(modules.Governed(config.recipe, config.seed))
    if here.is_first:
        chosen.append(LambdaCallback(setup=partial(_tell_preprocessing, folder)))
        chosen.append(LambdaCallback(setup=partial(_tell_emulation, config)))
    if config.recipe.ema:
        chosen.append(MovingAverage(config.recipe.ema))
    probe = config.callbacks.probe
    if probe.layer_responses:
        chosen.append(LayerResponses(folder.path / "layer_responses.csv", probe.layer_responses))
    if probe.gradient_norms:
        chosen.append(GradientNorms(folder.path / "gradient_norms.csv", probe.gradient_norms))
    if config.debug:
        chosen += registered("debug")["callbacks"](config.debug, folder.path, first=here.is_first)
    if config.trainer.progress:
        chosen.append(progress())
    if here.is_first:
        chosen.append(Watch(folder))
    return chosen


def _check_statistics(config: TrainConfig, trainer: Trainer, module: Any, stage: str) -> None:  # noqa: ARG001
    data: DataModule = trainer.datamodule  # type: ignore[attr-defined]
    check_statistics(config, data.info, trainer.world_size)


def _tell_preprocessing(folder: RunFolder, trainer: Trainer, module: Any, stage: str) -> None:  # noqa: ARG001
    """Before the first checkpoint, whose net needs it as much as the last one's."""
    text = trainer.datamodule.preprocessing().to_json()  # type: ignore[attr-defined]
    write_text(folder.preprocessing_file, f"{text}\n")


def _tell_emulation(config: TrainConfig, trainer: Trainer, module: Any, stage: str) -> None:  # noqa: ARG001
    if line := numerics.emulated(config, trainer.strategy.root_device):
        log.warning(line)


def _checkpoints(
    folder: RunFolder, config: TrainConfig, lock: Lock | None, held_at: str | None
) -> Checkpoints:
    folder.checkpoints.mkdir(exist_ok=True)
    if lock is not None:
        remove_unfinished(folder.path)
    return Checkpoints(folder.checkpoints, config, lock, Signals(), held_at)


def _final_net(last: Path, config: TrainConfig, data: DataModule, trainer: Trainer) -> nn.Module:
    """The net as the last checkpoint has it: averaged if the recipe averages, whole if it was sharded."""
    net = models.build(config.model.without_weights())
    net.load_state_dict(weights_of(last))
    net.to(trainer.strategy.root_device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if config.recipe.recompute_bn:
        recompute(net, data.train_dataloader(), trainer.strategy.root_device)
    return net


def _is_changed(after: nn.Module, net: nn.Module) -> bool:
    """Whether a callback changed the weights after the last checkpoint, which is what is tested and kept."""
    trained = after.state_dict()
    changed = any(not torch.equal(value.cpu(), trained[name].cpu()) for name, value in net.named_parameters())
    if changed:
        log.warning(
            "a callback changed the weights after the last checkpoint: tested is the net of the checkpoint"
        )
    return changed
