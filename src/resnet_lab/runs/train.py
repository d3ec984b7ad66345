"""The one place where model, data and training meet: fit, then the test of the last or the best checkpoint."""

import logging
import sys
from dataclasses import replace
from pathlib import Path

import torch
from lightning import Trainer
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from resnet_lab import models
from resnet_lab.config.schema import PRECISIONS, TrainConfig
from resnet_lab.data.datamodule import DataModule
from resnet_lab.files import digest_of
from resnet_lab.models.net_config import NetConfig
from resnet_lab.models.resnet import ResNet
from resnet_lab.runs import numerics, weights_file
from resnet_lab.runs.announce import announced
from resnet_lab.runs.assemble import Parts
from resnet_lab.runs.checkpoints import best_sound, newest_sound, weights_of
from resnet_lab.runs.devices import Process, trainer_arguments
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.record import BatchNorm, Record
from resnet_lab.runs.recording import SOURCES, scores
from resnet_lab.training import module as modules
from resnet_lab.training import recipes, surest_mistakes
from resnet_lab.training.answering import Answering
from resnet_lab.training.batch_norm import recompute
from resnet_lab.training.callbacks import silence
from resnet_lab.training.evaluation import evaluate
from resnet_lab.training.run_logger import EVERY

log = logging.getLogger(__name__)


def train(folder: RunFolder, config: TrainConfig, here: Process, parts: Parts, record: Record) -> Record:
    """Train to the last iteration, from the last sound checkpoint if there is one, then test.

    Returns the record with what it found. Only the first process writes.
    """
    recipe, data, net = config.recipe, parts.data, parts.net
    module, checkpoints = parts.module, parts.checkpoints
    if config.trainer.strategy == "fsdp":
        # It reads the optimiser's state back as if weights lay in this order, whatever theirs is.
        net.to(memory_format=torch.contiguous_format)
    if config.trainer.compile:
        numerics.compile_in_place(net)
    with (
        numerics.as_configured(config),
        announced(config, folder, record, first=here.is_first) as announcing,
    ):
        chosen = {"log_every_n_steps": config.logger.every_steps or EVERY, **config.trainer.extra}
        trainer = Trainer(
            **trainer_arguments(config.trainer, here, config.precision, units=isinstance(net, ResNet)),
            **recipes.trainer_arguments(recipe),
            precision=PRECISIONS[config.precision].lightning,  # type: ignore[arg-type]
            deterministic=config.trainer.deterministic,
            benchmark=not config.trainer.deterministic,
            callbacks=[*parts.callbacks, *announcing.callbacks],
            logger=[parts.logger, *parts.loggers],
            default_root_dir=folder.path,
            use_distributed_sampler=False,  # the loaders give each process its share
            num_sanity_val_steps=0,
            enable_model_summary=False,
            enable_progress_bar=config.trainer.progress and sys.stdout.isatty(),
            **chosen,
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
            net = _final_net(last, config.model, data, trainer, again=recipe.recompute_bn)
            if parts.own and config.test_with == "last" and config.trainer.strategy != "fsdp":
                changed = _is_changed(module.get_submodule(parts.held_at), net)
        cost = parts.cost.facts()
        found = replace(
            record,
            stopped_early_at=checkpoints.stopped_early_at,
            weights_of_a_callback=checkpoints.swapped and not recipe.ema,
            changed_after_training=changed,
            hyperparameters=parts.logger.hyperparameters,
            kept=dict(checkpoints.best),
            tested=config.test_with,
            data=replace(
                record.data,
                classes=data.info.classes,
                not_promised=data.not_promised or None,
                **data.sizes,  # type: ignore[arg-type]
            ),
            cost=cost,
            numerics=numerics.describe(config, trainer.strategy.root_device, trainer.world_size),
        )
        if any(isinstance(layer, _BatchNorm) for layer in net.modules()):
            synced = config.trainer.sync_batch_norm
            images = recipes.images_per_statistic(recipe, cost.trained_on[-1], synced=synced)
            found.batch_norm = BatchNorm(images, synced)
        if modules.tests_itself(module):
            figures = _own_test(parts, trainer, last)
        else:
            figures = _final_test(folder, net, parts, trainer)
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
            found.last, found.best = scores(folder.history_file, figures, config.objective)
        announcing.record = found
    return found


def _final_net(last: Path, model: NetConfig, data: DataModule, trainer: Trainer, *, again: bool) -> nn.Module:
    """Return the net as the last checkpoint has it: averaged if the recipe averages, whole if it was sharded.

    `again`: the statistics of its batch norms are computed anew.
    """
    net = models.build(model.without_weights())
    net.load_state_dict(weights_of(last))
    net.to(trainer.strategy.root_device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if again:
        recompute(net, data.train_dataloader(), trainer.strategy.root_device)
    return net


def _is_changed(after: nn.Module, net: nn.Module) -> bool:
    """Return whether a callback changed the weights after the last checkpoint, which is what is tested and kept."""
    trained = after.state_dict()
    changed = any(not torch.equal(value.cpu(), trained[name].cpu()) for name, value in net.named_parameters())
    if changed:
        log.warning(
            "a callback changed the weights after the last checkpoint: tested is the net of the checkpoint"
        )
    return changed


def _final_test(folder: RunFolder, net: nn.Module, parts: Parts, trainer: Trainer) -> dict[str, float]:
    """Return `test/…` in the precision of training, each image exactly once; the folder keeps the answers."""
    data, how = parts.data, parts.protocol
    loaders = [data.test_views(scale.resize, scale.crop) for scale in how.scales]
    seen = data.preprocessing()
    answering = Answering(seen.mean, seen.std)
    with trainer.precision_plugin.forward_context():
        rates = evaluate(net, loaders, how, trainer.strategy.root_device, parts.metrics, answering)
    classes = data.info.class_names
    answers, images = answering.answers(data.tested(loaders[0]), classes, dict(enumerate(classes)))
    if trainer.is_global_zero:
        surest_mistakes.leave(folder.path, answers, images)
    return {f"test/{name}": value for name, value in rates.items() if name != "images"}


def _own_test(parts: Parts, trainer: Trainer, last: Path) -> dict[str, float]:
    """Return what the module's own test logs of the test images, with the weights of the last checkpoint."""
    state = torch.load(last, map_location="cpu", weights_only=True)["state_dict"]
    parts.module.load_state_dict(state, strict=parts.module.strict_loading)
    found = trainer.test(parts.module, datamodule=parts.data, verbose=False)
    return {name: float(value) for each in found for name, value in each.items()}
