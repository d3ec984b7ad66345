"""Nothing in a training step waits for the device: on the meta device, without numbers, what looks at one raises."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

import toy_training as toy
from dispatched import Dispatched
from resnet_lab.training import Classifier
from resnet_lab.training.averaging import MovingAverage
from resnet_lab.training.classifier import CHECK_EVERY
from resnet_lab.training.probes import GradientNorms

DEVICE = torch.device("meta")


def module_on(device: torch.device, step: int, **choices: Any) -> Classifier:
    module = Classifier(toy.net(dropout=0.5), toy.recipe(**choices), toy.CLASSES).to(device)
    strategy = SimpleNamespace(root_device=device)
    trainer = SimpleNamespace(
        global_step=step, current_epoch=0, num_training_batches=9, precision="32-true", strategy=strategy
    )
    module.trainer = trainer  # type: ignore[assignment]
    return module


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy"])
def test_no_step_looks_at_a_number_of_the_device(loss: str, tmp_path: Any) -> None:
    module = module_on(DEVICE, step=3, loss=loss, ema=0.9)
    average, probe = MovingAverage(0.9), GradientNorms(tmp_path / "norms.csv")
    average.setup(module.trainer, module, "fit")
    optimizer: Any = module.configure_optimizers()
    images, labels = torch.empty(8, 1, 8, 8, device=DEVICE), torch.empty(8, dtype=torch.long, device=DEVICE)

    def step() -> None:
        module.training_step((images, labels), 0).backward()
        probe.on_before_optimizer_step(module.trainer, module, optimizer)
        optimizer.step()
        average.on_train_batch_end(module.trainer, module, None, None, 0)
        module.trainer.global_step += 1  # type: ignore[misc]

    step()  # the first: the optimiser makes its state
    with Dispatched() as seen:
        step()
    assert seen.on("meta")
    assert seen.crossings() == []


def test_loss_is_looked_at_once_in_many_steps() -> None:
    """The one look that is needed: a run that has diverged ends."""
    images, labels = torch.empty(8, 1, 8, 8, device=DEVICE), torch.empty(8, dtype=torch.long, device=DEVICE)
    module = module_on(DEVICE, step=CHECK_EVERY - 1)
    with pytest.raises((NotImplementedError, RuntimeError), match="meta"):
        module.training_step((images, labels), 0)
