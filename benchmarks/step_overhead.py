"""What a training step costs beyond the net: ours, Lightning's bare loop, a bare PyTorch loop, and a usual template.

    python benchmarks/step_overhead.py

All four train the same net on the same batches of our loader with PyTorch's fused SGD, on one thread; ours is a whole
run, whose steps are counted, watched for divergence, and from which a checkpoint could be written after each. The
template logs loss and torchmetrics' accuracy at each step, as templates do. Times are of the processor, a step, between
the first steps and the last of an epoch. Two nets: a tiny one, of which hardly anything but the overhead is left, and
`cifar_resnet20` at 32x32 with he2015's batch of 128. About a minute and a half on an idle core.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from PIL import Image
from torch import Tensor, nn

from measuring import Claim, interleaved, leave
from resnet_lab import data as data_sets
from resnet_lab import models
from resnet_lab.config.request import compose
from resnet_lab.config.schema import TrainConfig
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder

SKIPPED = 5  # steps of an epoch before the clock starts
NETS = {
    "a tiny net": ["data=digits", "recipe=digits", "model.depth=8", "model.width=4", "recipe.batch_size=16"],
    "cifar_resnet20": ["data=small_folder", "recipe=he2015_cifar", "model.depth=20"],
}
EPOCHS = {"a tiny net": 3, "cifar_resnet20": 1}  # of a turn
IMAGES = 128 * 14


class Clock(Callback):
    """Milliseconds of the processor that a step took: `last`, of the run that ended last."""

    last = 0.0

    def __init__(self) -> None:
        self._began = self._spent = 0.0
        self._steps = 0

    def on_train_batch_start(
        self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx == SKIPPED:
            self._began = time.process_time()
        elif batch_idx == trainer.num_training_batches - 1:
            self._spent += time.process_time() - self._began
            self._steps += batch_idx - SKIPPED
            Clock.last = 1000 * self._spent / self._steps


class Bare(LightningModule):
    """Nothing but what Lightning asks for."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.net = models.build(config.model).to(memory_format=torch.channels_last)

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return sgd(self.net)


class Template(Bare):
    """A step of lightning-hydra-template."""

    def __init__(self, config: TrainConfig) -> None:
        from torchmetrics import MeanMetric
        from torchmetrics.classification import Accuracy

        super().__init__(config)
        self.loss, self.accuracy = MeanMetric(), Accuracy(task="multiclass", num_classes=10)

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        images, labels = batch
        scores = self.net(images)
        loss = nn.functional.cross_entropy(scores, labels)
        self.loss(loss)
        self.accuracy(scores.argmax(1), labels)
        self.log("train/loss", self.loss, on_step=False, on_epoch=True, prog_bar=True)
        self.log("train/acc", self.accuracy, on_step=False, on_epoch=True, prog_bar=True)
        return loss


def sgd(net: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(net.parameters(), 0.01, momentum=0.9, weight_decay=1e-4, fused=True)


def batches(config: TrainConfig) -> Any:
    data = data_sets.build(
        config.data, batch_size=config.recipe.batch_size, drop_last=config.recipe.drop_last, seed=config.seed
    )
    data.setup("fit")
    return data.train_dataloader()


def by_pytorch(config: TrainConfig, epochs: int) -> float:
    torch.set_num_threads(1)
    net, loader = models.build(config.model).to(memory_format=torch.channels_last).train(), batches(config)
    optimizer = sgd(net)
    spent, steps = 0.0, 0
    for epoch in range(epochs):
        loader.set_epoch(epoch)
        for number, (images, labels) in enumerate(loader):
            if number == SKIPPED:
                began = time.process_time()
            elif number == len(loader) - 1:
                spent += time.process_time() - began
                steps += number - SKIPPED
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(images), labels)
            loss.backward()
            optimizer.step()
    return 1000 * spent / steps


def by_lightning(module: type[Bare], config: TrainConfig, epochs: int) -> float:
    torch.set_num_threads(1)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=[Clock()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module(config), batches(config))
    return Clock.last


def by_us(configs: Iterator[TrainConfig], epochs: int) -> float:
    folder = RunFolder.create(next(configs))
    assert execute(folder.path).state == "finished", folder.log_file.read_text()
    return Clock.last


def seeds(config: TrainConfig) -> Iterator[TrainConfig]:
    for seed in range(10_000):
        yield replace(config, seed=seed)


def noise(root: Path) -> Path:
    """Class folders of 32x32 images, as many as an epoch is to have."""
    random = np.random.default_rng(0)
    for number in range(IMAGES + 10):
        folder = root / ("train" if number < IMAGES else "test") / str(number % 10)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return root


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--net", choices=NETS, action="append", help="only this one")
    parser.add_argument("--write", action="store_true", help="into results/benchmarks")
    args = parser.parse_args()

    claims = []
    with tempfile.TemporaryDirectory(prefix="step_overhead-") as scratch:
        images = noise(Path(scratch) / "images")
        for name in args.net or NETS:
            epochs = EPOCHS[name]
            asked = [
                *NETS[name],
                f"runs_root={scratch}/runs",
                "trainer.accelerator=cpu",
                "trainer.progress=false",
            ]
            asked += ["recipe.iterations=null", f"recipe.epochs={epochs}", "recipe.schedule=constant"]
            asked += ["recipe.drops=[]", "data.validation=0", "recipe.lr=0.01", "data.test_images=10"]
            asked += [f"data.root={images}"] if "data=small_folder" in asked else []
            asked.append("callbacks.extra={clock: {_target_: step_overhead.Clock, identity: false}}")
            config = compose(asked)
            ways: dict[str, Callable[[], float]] = {
                "ours": partial(by_us, seeds(config), epochs),
                "lightning": partial(by_lightning, Bare, config, epochs),
                "pytorch": partial(by_pytorch, config, epochs),
                "template": partial(by_lightning, Template, config, epochs),
            }
            took = interleaved(ways, args.turns)
            tiny = name != "cifar_resnet20"
            for peer, said in {
                "lightning": {"against": "Lightning's bare loop", "most": 1.10 if tiny else None},
                "pytorch": {"against": "a bare PyTorch loop", "most": None if tiny else 1.03},
                "template": {"against": "a template that logs at each step"},
            }.items():
                claims.append(
                    Claim.of_turns(
                        f"a step of {name}", "ms of the processor", took["ours"], took[peer], **said
                    )
                )
    leave(__file__, claims)


if __name__ == "__main__":
    import step_overhead  # whose Clock the run names, too

    Clock = step_overhead.Clock  # type: ignore[misc]
    main()
