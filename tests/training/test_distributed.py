"""Several devices compute what one computes: real processes under Lightning's DDP, on the CPU."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import toy_training as toy
from forked import in_a_process_of_its_own
from resnet_lab.training.callbacks import History

# Of 32 images, the ranks get 8 and 7 of each batch of 15, and one each of the last batch.
CHOICES: dict[str, Any] = {"batch_size": 15, "epochs": 2, "lr": 0.05}


def on(
    devices: int, *callbacks: Any, batch_norm: bool = False, checkpoint: Any = None, **choices: Any
) -> Any:
    recipe = toy.recipe(**{**CHOICES, **choices})
    return toy.fit(
        recipe,
        *callbacks,
        backbone=toy.net(batch_norm=batch_norm),
        train_images=32,
        checkpoint=checkpoint,
        devices=devices,
        strategy="ddp_fork" if devices > 1 else "auto",
        test_images=33,  # two batches for one rank, one for the other
    )


@in_a_process_of_its_own
def test_two_devices_take_the_steps_of_one_though_their_slices_differ_in_size() -> None:
    (one, alone), (two, shared) = on(1), on(2)
    expected, found = alone.callback_metrics, shared.callback_metrics
    torch.testing.assert_close(toy.weights(two), toy.weights(one), rtol=1e-5, atol=1e-6)
    for name in ("train/error", "test/error", "test/top5_error"):
        assert found[name] == expected[name], name
    for name in ("train/loss", "test/loss"):
        assert float(shared.callback_metrics[name]) == pytest.approx(
            float(alone.callback_metrics[name]), 1e-5
        )


@in_a_process_of_its_own
def test_a_run_killed_within_an_epoch_goes_on_with_another_number_of_devices(tmp_path: Path) -> None:
    _, whole = on(1)
    for before, after in ((2, 1), (1, 2)):
        checkpoint = tmp_path / f"{before}.ckpt"
        with pytest.raises(Exception, match="Killed"):
            on(before, toy.Save(checkpoint, every=1), toy.KillAt(5))
        _, resumed = on(after, checkpoint=checkpoint)
        assert resumed.callback_metrics["train/error"] == whole.callback_metrics["train/error"]
        assert float(resumed.callback_metrics["test/loss"]) == pytest.approx(
            float(whole.callback_metrics["test/loss"]), 1e-5
        )


@in_a_process_of_its_own
def test_all_ranks_test_the_statistics_that_the_checkpoint_keeps() -> None:
    """Each rank's batch norm has seen other images; the test is of one net all the same."""
    module, trainer = on(2, batch_norm=True)
    images, labels = toy.images(33, seed=1)
    with torch.no_grad():
        loss = F.cross_entropy(module.eval()(images), labels)
    assert float(trainer.callback_metrics["test/loss"]) == pytest.approx(float(loss), 1e-5)


@in_a_process_of_its_own
def test_the_ranks_write_one_history(tmp_path: Path) -> None:
    on(2, History(tmp_path / "history.csv"))
    assert len((tmp_path / "history.csv").read_text().splitlines()) == 1 + 2


@in_a_process_of_its_own
def test_all_ranks_stop_at_a_loss_that_is_not_finite() -> None:
    with pytest.raises(Exception, match="training loss was not finite"):
        on(2, lr=1e18)
