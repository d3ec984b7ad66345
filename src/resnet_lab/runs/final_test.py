"""The last thing that a run does: its net is tested, and the folder keeps what it answers to each image."""

from pathlib import Path

import torch
from lightning import LightningModule, Trainer
from torch import nn

from resnet_lab.data.module import DataModule
from resnet_lab.runs.folder import RunFolder
from resnet_lab.training import mistakes
from resnet_lab.training.answering import Answering
from resnet_lab.training.evaluation import evaluate
from resnet_lab.training.metrics import Metrics
from resnet_lab.training.protocols import Protocol


def final_test(
    folder: RunFolder,
    net: nn.Module,
    data: DataModule,
    how: Protocol,
    trainer: Trainer,
    metrics: Metrics | None,
) -> dict[str, float]:
    """`test/…` in the precision of training, each image exactly once on however many devices."""
    loaders = [data.test_views(scale.resize, scale.crop) for scale in how.scales]
    seen = data.preprocessing()
    answering = Answering(seen.mean, seen.std)
    with trainer.precision_plugin.forward_context():
        rates = evaluate(net, loaders, how, trainer.strategy.root_device, metrics, answering)
    classes = data.info.class_names
    answers, images = answering.answers(data.tested(loaders[0]), classes, dict(enumerate(classes)))
    if trainer.is_global_zero:
        mistakes.leave(folder.path, answers, images)
    return {f"test/{name}": value for name, value in rates.items() if name != "images"}


def own_test(module: LightningModule, data: DataModule, trainer: Trainer, last: Path) -> dict[str, float]:
    """Return what the module's own test logs of the test images, with the weights of the last checkpoint."""
    state = torch.load(last, map_location="cpu", weights_only=True)["state_dict"]
    module.load_state_dict(state, strict=module.strict_loading)
    found = trainer.test(module, datamodule=data, verbose=False)
    return {name: float(value) for each in found for name, value in each.items()}
