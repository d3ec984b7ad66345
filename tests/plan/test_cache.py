"""What a plan measured is kept: by machine, net, what it sees and precision."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from resnet_lab.config.request import compose
from resnet_lab.models.description import ModelConfig
from resnet_lab.plan import cache as plan_cache
from resnet_lab.plan import estimate
from resnet_lab.plan.cache import Kept, file
from resnet_lab.plan.estimate import counted, sizes
from resnet_lab.plan.plan_table import plan
from resnet_lab.plan.timing import seconds_an_image

NET = ["model.depth=8,14", "model.width=4", "recipe.epochs=2"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was timed: (depth, precision, compiled); 1 ms an image, less where it is narrower or compiled."""
    asked: list[Any] = []

    def seconds(
        net: ModelConfig, shape: Any, work: int, precision: str, *, compiled: bool = False, at_once: int = 1
    ) -> float:
        asked.append((net.depth, precision, compiled))
        return 1e-3 / (2 if precision == "bf16" else 1) / (1.5 if compiled else 1) / at_once**0.5

    monkeypatch.setattr(estimate, "seconds_an_image", seconds)
    return asked


def planned(capsys: pytest.CaptureFixture[str], *overrides: str, measure: bool = False) -> str:
    assert plan([*overrides], multirun=True, gpu=None, efficiency=0.3, measure=measure) == 0
    return capsys.readouterr().out


def test_a_second_plan_times_nothing_and_says_so(
    timed: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    first = planned(capsys, *NET)
    assert "timed now" in first
    asked = list(timed)
    second = planned(capsys, *NET)
    assert timed == asked
    assert "timed before" in second
    assert first.split("seconds of a step")[0] == second.split("seconds of a step")[0]
    assert str(file()) in second


def test_what_is_no_faster_here_is_told_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(estimate, "seconds_an_image", lambda *_, **__: 1e-3)
    told = planned(capsys, "model.depth=8", "model.width=4", "recipe.epochs=2", measure=True)
    assert told.count("no faster here: ") == 3
    assert "precision=bf16, 1.0 times as fast" in told


def test_deep_nets_are_told_from_one_that_is_timed(
    timed: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    planned(capsys, "experiment=he2015/table6", "seed=0")
    assert [depth for depth, *_ in timed] == [20]


@pytest.mark.parametrize(
    "net",
    [
        {"depth": 44},
        {"depth": 32, "shortcut": "C"},
        {"depth": 32, "shortcut": "B", "order": "full_preactivation"},
        {"depth": 47, "block": "bottleneck"},
        {"depth": 17, "block": "single", "drop_path": 0.2},
        {"depth": 38, "block": "se_basic"},
        {"depth": 28, "family": "wide", "width_factor": 2.0},
        {"depth": 44, "shortcut": "none", "batch_norm": False},
    ],
    ids=str,
)
def test_a_deep_net_is_counted_from_shallow_ones_to_the_byte(net: dict[str, Any]) -> None:
    config = ModelConfig(**net, in_channels=3, num_classes=10).resolved()
    assert sizes(config, (3, 32, 32), Kept()) == counted(config, (3, 32, 32))


def test_another_machine_precision_or_size_of_image_is_timed_anew(
    timed: list[Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = ["model.depth=8", "model.width=4", "recipe.epochs=2"]
    for change in ([], ["precision=bf16"], ["data=cifar10"]):
        planned(capsys, *one, *change)
    assert len(timed) == 3
    monkeypatch.setattr(plan_cache, "machine", lambda: "another")
    planned(capsys, *one)
    assert len(timed) == 4


def test_what_is_faster_here_is_measured_once_and_told_from_then_on(
    timed: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    one = ["model.depth=8", "model.width=4", "recipe.epochs=2"]
    assert "--faster measures it" in planned(capsys, *one)
    told = planned(capsys, *one, measure=True)
    assert "faster here: precision=bf16 trainer.compile=true, 3.0 times as fast, measured" in told
    assert "faster here: precision=bf16, 2.0 times as fast, measured" in told
    asked = len(timed)
    assert "precision=bf16, 2.0 times as fast" in planned(capsys, *one)
    assert len(timed) == asked


def test_more_runs_on_a_gpu_are_measured_where_there_is_one(
    timed: list[Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resnet_lab.plan.plan_table._gpus", lambda: 1)
    told = planned(capsys, "model.depth=8", "model.width=4", "recipe.epochs=2", measure=True)
    assert "faster here: hydra.launcher.runs_per_gpu=4, 2.0 times as fast, measured" in told
    assert "faster here: hydra.launcher.runs_per_gpu=2, 1.4 times as fast, measured" in told


@pytest.mark.slow
def test_processes_are_timed_beside_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    net = ModelConfig(depth=8, width=4, in_channels=1, num_classes=10).resolved()
    alone, together = (seconds_an_image(net, (1, 8, 8), 40_000, "32", at_once=count) for count in (1, 2))
    assert 0.2 < alone / together < 4  # twice where two cores are idle
    assert seconds_an_image(net, (3, 8, 8), 40_000, "32", at_once=2) == math.inf  # none of them runs


@pytest.mark.parametrize("text", ["", "{", "[]", '{"x": 3}', "\x00"])
def test_a_file_that_is_damaged_is_measured_anew_and_one_that_cannot_be_written_fails_no_plan(
    text: str, cache: Path, timed: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    file().parent.mkdir(parents=True)
    file().write_text(text)
    assert "timed now" in planned(capsys, *NET)
    assert json.loads(file().read_text())
    shutil.rmtree(cache)
    cache.write_text("a file")
    assert "timed now" in planned(capsys, *NET)


def test_plans_do_not_lose_each_others_figures(timed: list[Any]) -> None:
    config = compose(["model.depth=8"]).model
    first, second = Kept(), Kept()
    first.or_measured(lambda: {"seconds": 1.0}, "seconds", config, "a")
    second.or_measured(lambda: {"seconds": 2.0}, "seconds", config, "b")
    assert [Kept().get("seconds", config, each) for each in "ab"] == [{"seconds": 1.0}, {"seconds": 2.0}]
