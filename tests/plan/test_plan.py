"""The plan of a sweep: what it lists, what it has counted off, and that it starts nothing."""

import re
from pathlib import Path

import pytest

from resnet_lab.config.request import compose
from resnet_lab.config.schema import TrainConfig
from resnet_lab.errors import UserError
from resnet_lab.plan import estimate
from resnet_lab.plan.cache import Kept
from resnet_lab.plan.estimate import on_gpu
from resnet_lab.plan.plan_table import plan
from resnet_lab.reference import exact_counts, table
from resnet_lab.runs.folder import RunFolder
from resnet_lab.terminal import said
from run_folders import ended as finished_record

BENEATH = ("seconds of a step", "faster here", "what would be faster")  # what tests/plan/test_cache.py reads
TINY = ["model.depth=8,14", "model.width=4", "seed=0,1", "recipe.epochs=2"]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a plan keeps is kept elsewhere."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def planned(capsys: pytest.CaptureFixture[str], *overrides: str, gpu: str | None = "a100") -> list[str]:
    assert plan(list(overrides), multirun=True, gpu=gpu, efficiency=0.3) == 0
    return [line for line in capsys.readouterr().out.splitlines() if not line.startswith(BENEATH)]


def test_each_net_of_table_6_has_a_line_with_its_cost(capsys: pytest.CaptureFixture[str]) -> None:
    _, *lines, total = planned(capsys, "experiment=he2015/table6", "model.depth=20,32,44,56,110", "seed=0,1")
    paper = [row for row in table("he2015/table6") if row["method"] == "ResNet" and row["layers"] < 1000]
    depths = [int(re.split(r"[ -]+", line.strip())[1]) for line in lines]
    assert sorted(set(depths)) == [row["layers"] for row in paper]
    assert all("64,000" in line and "0 1" in line and "2 new" in line for line in lines)
    assert "269,722" in lines[0]
    assert "40.6 M" in lines[0]
    assert total.endswith("on one a100 at 30% of its peak")


def test_imagenet_is_planned_before_it_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    lines = planned(capsys, "experiment=he2015/table2")[1:-1]
    assert [line.split()[0] for line in lines] == ["plain-18", "resnet-18-A", "plain-34", "resnet-34-A"]
    [exact] = [row for row in exact_counts() if row["name"] == "plain-18"]
    assert f"{exact['params_total']:,}" in lines[0]  # with its thousand classes
    with pytest.raises(UserError, match=r"data\.root=…"):
        compose(["experiment=he2015/table2"])


def test_runs_that_differ_in_a_choice_of_the_recipe_tell_it(capsys: pytest.CaptureFixture[str]) -> None:
    head, *lines, _ = planned(capsys, *TINY, "model.depth=8", "recipe.lr=0.1,0.2")
    assert " lr " in head
    assert [re.search(r" (0\.\d) ", line)[1] for line in lines] == ["0.1", "0.2"]  # type: ignore[index]


def test_what_is_done_is_counted_off_and_nothing_is_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = [*TINY, f"runs_root={tmp_path}"]
    *_, before = planned(capsys, *overrides, gpu=None)
    assert before.startswith("4 runs, 0 finished; to do: ")
    assert not list(tmp_path.iterdir())
    finish(compose(["model.depth=8", "model.width=4", "recipe.epochs=2", f"runs_root={tmp_path}"]))
    _, first, _, total = planned(capsys, *overrides, gpu=None)
    assert "1 finished, 1 new" in first
    assert total.startswith("4 runs, 1 finished; ")


def finish(config: TrainConfig) -> None:
    folder = RunFolder.create(config)
    folder.history_file.write_text("epoch,iteration\n2,46\n")
    folder.write_record(finished_record(config, 1.0))


def test_half_a_run_leaves_half_its_hours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "resnet_lab.plan.plan_table.here", lambda _: lambda *_: 3600 / 1000 / 64
    )  # seconds an image
    overrides = ["model.depth=8", "model.width=4", "recipe.epochs=null", "recipe.iterations=1000"]
    overrides.append(f"runs_root={tmp_path}")
    assert "to do: 60 min" in planned(capsys, *overrides, gpu=None)[-1]
    folder = RunFolder.create(compose(overrides))
    folder.history_file.write_text("epoch,iteration\n22,500\n")
    assert "to do: 30 min" in planned(capsys, *overrides, gpu=None)[-1]


def test_a_gpus_hours_follow_from_its_peak() -> None:
    config = compose(["recipe=he2015_cifar", "data=cifar10"])
    cost = estimate.estimate(config, on_gpu("v100", 0.5), Kept())
    assert cost.seconds == pytest.approx(64_000 * 128 * 40_551_040 * 6 / (15.7e12 * 0.5))
    half = estimate.estimate(
        compose(["recipe=he2015_cifar", "data=cifar10", "precision=16"]), on_gpu("v100", 0.5), Kept()
    )
    assert half.seconds < cost.seconds


def test_a_step_on_a_gpu_takes_at_least_the_start_of_its_operations() -> None:
    config = compose(["recipe=he2015_cifar", "data=cifar10"])
    cost = estimate.estimate(config, on_gpu("h100", 1.0), Kept(), launch=1e-5)
    assert cost.seconds == pytest.approx(64_000 * 20 * 12 * 1e-5)
    slow = estimate.estimate(config, on_gpu("t4", 0.01), Kept(), launch=1e-5)
    assert slow.seconds == pytest.approx(64_000 * 128 * 40_551_040 * 6 / (8.1e12 * 0.01))


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.0, "0 s"), (48, "48 s"), (154, "3 min"), (5400, "1.5 h"), (4e6, "46.3 days")]
)
def test_a_length_of_time_is_in_the_largest_unit_that_fits(seconds: float, words: str) -> None:
    assert said(seconds) == words


def test_checkpointing_lowers_the_memory() -> None:
    whole, less = (
        estimate.estimate(
            compose(["model.depth=110", f"model.checkpointing={on}"]), on_gpu("a100", 0.3), Kept()
        )
        for on in ("false", "true")
    )
    assert less.memory_bytes < whole.memory_bytes / 2
