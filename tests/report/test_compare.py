"""Runs that differ only in the seed are one group."""

import math
import statistics
from pathlib import Path

import pytest

from resnet_lab.report import collect, summarise
from resnet_lab.report.compare import told_apart_by
from resnet_lab.report.spread import Spread, direction, standard_error
from run_folders import configured, failed, finished, interrupted


def test_spread_is_that_of_a_sample() -> None:
    spread = Spread((6.0, 7.0, 9.5))
    assert spread.std == pytest.approx(statistics.stdev([6.0, 7.0, 9.5]))
    assert (spread.n, spread.mean, spread.median, spread.best) == (3, 7.5, 7.0, 6.0)
    assert str(spread) == "7.50 ± 1.80"
    assert str(Spread((7.0,))) == "7.00"
    assert str(Spread()) == "–"
    assert math.isnan(Spread((7.0,)).std)


def test_two_figures_differ_beyond_two_standard_errors() -> None:
    error = standard_error(0.3, 9, 0.4, 4)
    assert error == pytest.approx(math.hypot(0.1, 0.2))
    assert direction(2 * error, error) == direction(-2 * error, error) == "same"
    assert direction(2.01 * error, error) == "higher"
    assert direction(-2.01 * error, error) == "lower"
    assert direction(1.0, math.nan) == "unknown"


def test_groups_differ_in_more_than_the_seed(tmp_path: Path) -> None:
    for seed, error in enumerate((6.0, 7.0, 9.5)):
        finished(configured(tmp_path, 56, seed=seed), error)
    interrupted(configured(tmp_path, 56, seed=3))
    finished(configured(tmp_path, 20, seed=0), 8.0)
    finished(configured(tmp_path, 20, "none", seed=0), 9.0)
    groups = summarise(collect(tmp_path))
    assert [(group.kind, group.depth, group.n, len(group.runs)) for group in groups] == [
        ("plain", 20, 1, 1),
        ("residual (basic, A)", 20, 1, 1),
        ("residual (basic, A)", 56, 3, 4),
    ]
    assert str(groups[-1].test) == "7.50 ± 1.80"
    assert groups[-1].remarks == "1 interrupted"
    assert told_apart_by(groups) == []


def test_where_a_run_trained_makes_no_other_group(tmp_path: Path) -> None:
    finished(configured(tmp_path, seed=0), 8.0)
    other = {"trainer.devices": 2, "trainer.threads": 7, "data.root": "elsewhere", "logger.name": "wandb"}
    finished(configured(tmp_path, seed=1, **other), 9.0)
    (group,) = summarise(collect(tmp_path))
    assert group.n == 2


def test_unfinished_run_joins_its_finished_group(tmp_path: Path) -> None:
    """config.yaml is typed and record.json is not: 1 and 1.0 are the same choice."""
    drops = {"recipe.epochs": None, "recipe.iterations": 64000, "recipe.schedule": "step"}
    finished(configured(tmp_path, seed=0, **drops, **{"recipe.drops": [32000, 48000]}), 8.0)
    interrupted(configured(tmp_path, seed=1, **drops, **{"recipe.drops": [32000.0, 48000.0]}))
    assert len(summarise(collect(tmp_path))) == 1


def test_choices_that_tell_groups_apart_are_named(tmp_path: Path) -> None:
    finished(configured(tmp_path, 20, **{"recipe.lr": 0.1}), 8.0)
    finished(configured(tmp_path, 20, **{"recipe.lr": 0.3}), 9.0)
    finished(configured(tmp_path, 56, **{"recipe.lr": 0.1, "recipe.warmup_iterations": 400}), 9.0)
    groups = summarise(collect(tmp_path))
    assert told_apart_by(groups) == ["recipe.lr"]
    assert [group.choices["recipe.lr"] for group in groups] == [0.1, 0.3, 0.1]


def test_fail_is_a_median_above_20_per_cent_or_a_lost_loss(tmp_path: Path) -> None:
    for seed, error in enumerate((19.0, 21.0, 35.0)):
        finished(configured(tmp_path, 20, seed=seed), error)
    finished(configured(tmp_path, 32, seed=0), 20.0)
    for seed in range(3):
        failed(configured(tmp_path, 44, seed=seed))
    finished(configured(tmp_path, 56, seed=0), 5.0)
    failed(configured(tmp_path, 56, seed=1))
    failed(configured(tmp_path, 56, seed=2))
    failed(configured(tmp_path, 110, seed=0), "out_of_memory")
    finished(configured(tmp_path, 1202, **{"data.name": "cifar100", "model.num_classes": 100}), 25.0)
    fails = {group.depth: (group.fails, group.remarks) for group in summarise(collect(tmp_path))}
    assert fails == {
        20: (True, "fail (> 20 %)"),
        32: (False, ""),
        44: (True, "3 failed: nonfinite_loss, fail (> 20 %)"),
        56: (True, "2 failed: nonfinite_loss, fail (> 20 %)"),
        110: (False, "1 failed: out_of_memory"),
        1202: (False, ""),
    }


def test_error_at_the_best_epoch_is_that_of_the_lowest_validation_error(tmp_path: Path) -> None:
    finished(configured(tmp_path, seed=0), 2.0, best=10)
    finished(configured(tmp_path, seed=1), 2.0)
    (group,) = summarise(collect(tmp_path))
    assert group.at_best_epoch.values == (pytest.approx(2.0 + 85 * math.exp(-10)),)
