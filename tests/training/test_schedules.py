"""Learning rates, iteration by iteration."""

import pytest
import torch

from resnet_lab.training.recipes import RecipeConfig
from resnet_lab.training.schedules import learning_rate


def rates(total: int, **choices: object) -> list[float]:
    recipe = RecipeConfig(**{"lr": 0.1, "iterations": total, **choices})
    return [learning_rate(iteration, recipe, total) for iteration in range(total)]


def test_he2015_drops_tenfold_at_32k_and_48k() -> None:
    recipe = RecipeConfig(lr=0.1, iterations=64000, drops=[32000, 48000])
    places = {0: 0.1, 31999: 0.1, 32000: 0.01, 47999: 0.01, 48000: 0.001, 63999: 0.001}
    for iteration, rate in places.items():
        assert learning_rate(iteration, recipe, 64000) == pytest.approx(rate, rel=1e-12)


def test_he2016_warms_up_for_400_iterations_at_a_tenth_and_returns_to_the_full_rate() -> None:
    recipe = RecipeConfig(lr=0.1, iterations=64000, drops=[32000, 48000], warmup_iterations=400)
    found = [learning_rate(iteration, recipe, 64000) for iteration in (0, 399, 400, 31999)]
    assert found == [0.01, 0.01, 0.1, 0.1]


def test_drops_in_epochs_fall_where_the_epoch_begins_whatever_its_length() -> None:
    recipe = RecipeConfig(lr=1.0, epochs=90, drops=[30, 60])
    assert learning_rate(30 * 7 - 1, recipe, 90 * 7) == 1.0
    assert learning_rate(30 * 7, recipe, 90 * 7) == pytest.approx(0.1)
    assert learning_rate(60 * 7, recipe, 90 * 7) == pytest.approx(0.01)


def test_drop_factor_is_a_choice() -> None:
    assert rates(4, drops=[2], drop_factor=0.5) == pytest.approx([0.1, 0.1, 0.05, 0.05])


def test_linear_warmup_rises_to_the_peak_and_goes_on_from_there() -> None:
    found = rates(8, schedule="constant", warmup_iterations=4, warmup_lr=0.02, warmup_shape="linear")
    assert found == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1, 0.1, 0.1, 0.1])


def test_cosine_starts_after_the_warmup_and_nears_zero() -> None:
    found = rates(6, schedule="cosine", warmup_iterations=2)
    half = 0.1 * (2 + 2**0.5) / 4  # cos(45 degrees)
    assert found == pytest.approx([0.01, 0.01, 0.1, half, 0.05, 0.1 - half])


@pytest.mark.parametrize(("total", "peak_at"), [(330, 0.3), (10, 0.5), (37, 0.25)])
def test_one_cycle_agrees_with_torch(total: int, peak_at: float) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.1, total_steps=total, pct_start=peak_at, cycle_momentum=False
    )
    expected = []
    for _ in range(total):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step() if len(expected) < total else None
    assert rates(total, schedule="one_cycle", peak_at=peak_at) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("total", [1, 2, 3, 8])
@pytest.mark.parametrize("schedule", ["step", "cosine", "one_cycle", "triangular", "constant"])
def test_every_schedule_is_positive_on_the_shortest_runs(schedule: str, total: int) -> None:
    assert all(0 < rate <= 0.1 for rate in rates(total, schedule=schedule))


def test_triangle_has_its_peak_where_asked_and_falls_to_zero_after_the_last_step() -> None:
    found = rates(10, schedule="triangular", peak_at=0.2)
    assert found[2] == pytest.approx(0.1)
    assert found[0] < found[1] < found[2]
    assert found[3:] == pytest.approx([0.1 * left / 8 for left in range(7, 0, -1)])


def test_scale_lr_follows_the_global_batch() -> None:
    choices = {"schedule": "constant", "batch_size": 512, "base_batch_size": 128}
    assert rates(1, **choices) == [0.1]
    assert rates(1, **choices, scale_lr=True) == [0.4]
