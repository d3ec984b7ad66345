"""The last thing that a run does: its net is tested, and the folder keeps what it answers to each image."""

from lightning import Trainer
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
