"""Runs that differ only in the seed are one group."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from resnet_lab.columns import word
from resnet_lab.data.spec import ImageFolderConfig
from resnet_lab.report import collect, group_table, summarise
from resnet_lab.report.compare import keys_of_rows
from run_folders import configured, failed, finished, interrupted


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
    assert keys_of_rows(groups) == []


def test_where_a_run_lies_and_who_is_told_makes_no_other_group(tmp_path: Path) -> None:
    finished(configured(tmp_path, seed=0), 8.0)
    other = {"data.root": "elsewhere", "logger.name": "wandb", "trainer.progress": False}  # digits are digits
    finished(configured(tmp_path, seed=1, **other), 9.0)
    (group,) = summarise(collect(tmp_path))
    assert (group.n, group.remarks) == (2, "")


@pytest.mark.parametrize(
    ("key", "values", "shown"),
    [
        ("trainer.devices", (1, 2), ("1", "2")),
        ("trainer.num_nodes", (1, 2), ("1", "2")),
        ("trainer.threads", (2, 7), ("2", "7")),
        ("trainer.compile", (False, True), ("off", "on")),
        ("trainer.deterministic", (False, True), ("off", "on")),
        ("trainer.sync_batch_norm", (False, True), ("off", "on")),
    ],
)
def test_what_changes_rounding_or_statistics_is_never_pooled(
    tmp_path: Path, key: str, values: tuple[Any, ...], shown: tuple[str, ...]
) -> None:
    for value in values:
        for seed, error in enumerate((8.0, 9.0)):
            finished(configured(tmp_path / str(value), seed=seed, **{key: value}), error)
    groups = summarise(collect(tmp_path))
    assert [group.n for group in groups] == [2, 2]
    (told,) = keys_of_rows(groups)
    assert told == {"trainer.num_nodes": "trainer.devices"}.get(key, key)
    table = group_table(groups)
    assert tuple(row[table.columns.index(word(told))] for row in table.rows) == shown


@pytest.mark.parametrize(
    ("part", "values", "key"),
    [
        ("cost", ({"threads": 1}, {"threads": 2}), "trainer.threads"),
        ("cost", ({"devices": 1}, {"devices": 4}), "trainer.devices"),
        ("cost", ({"accelerator": "cpu"}, {"accelerator": "NVIDIA H100"}), "trainer.accelerator"),
        ("batch_norm", ({"images": 64}, {"images": 16}), "batch_norm.images"),
    ],
)
def test_what_the_record_tells_goes_before_what_was_asked(
    tmp_path: Path, part: str, values: tuple[dict[str, Any], ...], key: str
) -> None:
    for seed, told in enumerate(values):
        folder = finished(configured(tmp_path, seed=seed), 8.0 + seed)
        record = folder.record()
        folder.write_record(replace(record, **{part: replace(getattr(record, part), **told)}))
    interrupted(configured(tmp_path, seed=2))  # nobody knows yet: it is no group of its own
    groups = summarise(collect(tmp_path))
    assert [group.n for group in groups] == [1, 1]
    assert sorted(len(group.runs) for group in groups) == [1, 2]
    assert keys_of_rows(groups) == [key]


def test_run_that_was_resumed_on_other_devices_stands_apart(tmp_path: Path) -> None:
    for seed, trained_on in enumerate(([2], [2], [2, 1])):
        folder = finished(configured(tmp_path, seed=seed), 8.0 + seed)
        record = folder.record()
        record.cost.devices, record.cost.trained_on = trained_on[-1], trained_on
        folder.write_record(record)
    groups = summarise(collect(tmp_path))
    assert [(group.n, group.choices["trainer.devices"], group.remarks) for group in groups] == [
        (2, 2, ""),
        (1, "2, then 1", "1 resumed on other devices"),
    ]


def test_images_without_a_fingerprint_are_told_apart_by_where_they_lie(tmp_path: Path) -> None:
    for seed, root in enumerate(("one/images", "two/images")):
        config = configured(tmp_path, seed=seed)
        data = ImageFolderConfig(name="image_folder", root=root)
        finished(replace(config, data=data), 8.0 + seed)
    groups = summarise(collect(tmp_path))
    assert [group.n for group in groups] == [1, 1]
    assert keys_of_rows(groups) == ["data.root"]


def test_what_no_group_knows_makes_no_column(tmp_path: Path) -> None:
    folder = finished(configured(tmp_path, seed=0), 8.0)
    record = folder.record()
    record.cost.threads, record.cost.accelerator = 2, "cpu"
    folder.write_record(record)
    failed(configured(tmp_path, seed=0, **{"recipe.lr": 9.0}))
    assert keys_of_rows(summarise(collect(tmp_path))) == ["recipe.lr"]


@pytest.mark.parametrize(("errors", "kept"), [((8.0, 8.0), 8.0), ((8.0, 9.0), 8.0), ((None, 9.0), 9.0)])
def test_seed_that_is_there_twice_counts_once(
    tmp_path: Path, errors: tuple[float | None, float], kept: float
) -> None:
    """A finished run before others, then the first by its path; whatever they scored."""
    for place, error in zip(("one", "two"), errors, strict=True):
        config = configured(tmp_path / place, seed=0)
        interrupted(config) if error is None else finished(config, error)
    finished(configured(tmp_path / "one", seed=1), 7.0)
    (group,) = summarise(collect(tmp_path))
    assert group.test.values == (kept, 7.0)
    assert group.test.seeds == (0, 1)
    assert group.remarks == "seed 0 is there twice: counted once"
    finished(configured(tmp_path / "three", seed=1), 7.0)
    (group,) = summarise(collect(tmp_path))
    assert (group.n, group.remarks) == (2, "seeds 0, 1 are there more than once: each counted once")


def test_unfinished_run_joins_its_finished_group(tmp_path: Path) -> None:
    """config.yaml is typed and record.json is not: 1 and 1.0 are the same choice."""
    drops = {"recipe.epochs": None, "recipe.iterations": 64000, "recipe.schedule": "step"}
    finished(configured(tmp_path, seed=0, **drops, **{"recipe.drops": [32000, 48000]}), 8.0)
    interrupted(configured(tmp_path, seed=1, **drops, **{"recipe.drops": [32000.0, 48000.0]}))
    assert len(summarise(collect(tmp_path))) == 1


def test_choices_that_tell_groups_apart_are_named(tmp_path: Path) -> None:
    for depth, rate, warm in ((20, 0.1, 0), (20, 0.3, 0), (56, 0.1, 400)):
        finished(configured(tmp_path, depth, **{"recipe.lr": rate, "recipe.warmup_iterations": warm}), 8.0)
    groups = summarise(collect(tmp_path))
    assert keys_of_rows(groups) == ["recipe.lr"]
    assert [group.choices["recipe.lr"] for group in groups] == [0.1, 0.3, 0.1]


def test_fail_is_a_median_above_20_per_cent_or_a_lost_loss(tmp_path: Path) -> None:
    paper = {"data.name": "cifar10", "recipe.epochs": None, "recipe.iterations": 64_000}
    for seed, error in enumerate((19.0, 21.0, 35.0)):
        finished(configured(tmp_path, 20, seed=seed, **paper), error)
    finished(configured(tmp_path, 32, seed=0, **paper), 20.0)
    for seed in range(3):
        failed(configured(tmp_path, 44, seed=seed, **paper))
    finished(configured(tmp_path, 56, seed=0, **paper), 5.0)
    failed(configured(tmp_path, 56, seed=1, **paper))
    failed(configured(tmp_path, 56, seed=2, **paper))
    failed(configured(tmp_path, 110, seed=0, **paper), "out_of_memory")
    fails = {group.depth: (group.fails, group.remarks) for group in summarise(collect(tmp_path))}
    assert fails == {
        20: (True, "fail (> 20 %)"),
        32: (False, ""),
        44: (True, "3 failed: nonfinite_loss, fail (> 20 %)"),
        56: (True, "2 failed: nonfinite_loss, fail (> 20 %)"),
        110: (False, "1 failed: out_of_memory"),
    }


@pytest.mark.parametrize(
    "other",
    [
        {"data.name": "cifar100", "model.num_classes": 100},
        {"data.name": "digits"},
        {"data.train_images": 5000},
        {"recipe.iterations": 1400},
    ],
)
def test_fail_is_never_said_of_other_data_or_a_shorter_schedule(
    tmp_path: Path, other: dict[str, Any]
) -> None:
    paper = {"data.name": "cifar10", "recipe.epochs": None, "recipe.iterations": 64_000}
    finished(configured(tmp_path, **{**paper, **other}), 60.0)
    (group,) = summarise(collect(tmp_path))
    assert (group.fails, group.trains, group.remarks) == (False, True, "")


def test_net_that_guesses_does_not_train(tmp_path: Path) -> None:
    finished(configured(tmp_path, 20), 87.0)
    finished(configured(tmp_path, 56, **{"data.name": "cifar100", "model.num_classes": 100}), 87.0)
    assert [group.trains for group in summarise(collect(tmp_path))] == [False, True]


def test_error_at_the_best_epoch_is_that_of_the_lowest_validation_error(tmp_path: Path) -> None:
    finished(configured(tmp_path, seed=0), 2.0, best=10)
    finished(configured(tmp_path, seed=1), 2.0)
    (group,) = summarise(collect(tmp_path))
    assert group.at_best_epoch.values == (pytest.approx(2.0 + 85 * math.exp(-10)),)
