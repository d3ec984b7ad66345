"""Combinations of a grid that are no runs."""

from pathlib import Path

import pytest

from resnet_lab.errors import UserError
from swept import configurations, runs_of_experiment

GRID = ["model.depth=20,32", "recipe.lr=0.1,0.01", "seed=0,1"]


def left(*overrides: str) -> list[tuple[int | None, float, int]]:
    configs = configurations([*GRID, *overrides])
    return [(config.model.depth, config.recipe.lr, config.seed) for config in configs]


@pytest.mark.parametrize(
    ("exclude", "remain"),
    [
        ("[{model.depth:32}]", 4),
        ("[{model.depth:32,recipe.lr:0.1}]", 6),
        ("[{model:{depth:32},recipe:{lr:0.1}}]", 6),
        ("[{model.depth:32,recipe.lr:0.1},{seed:1}]", 3),
        ("[{model.depth:[20,32],seed:1}]", 4),
        ('[{model.depth:"20,32",seed:1}]', 4),
        ("[{model.depth:44}]", 8),
        ("[{model.shortcut:A,seed:1}]", 4),  # which nobody typed: the family decides it
        ("[{model:cifar_resnet,seed:1}]", 4),
        ("[{model:cifar_plain}]", 8),
        ("[{data:digits,model.weights:null,seed:0}]", 4),
    ],
)
def test_what_is_excluded_is_no_run(exclude: str, remain: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(left(f"hydra.sweeper.exclude={exclude}")) == remain
    assert f"{8 - remain} of 8 runs are left out by hydra.sweeper.exclude" in capsys.readouterr().err


def test_the_others_are_the_runs_they_would_be_anyway() -> None:
    whole = left()
    assert left("hydra.sweeper.exclude=[{model.depth:20,seed:1}]") == [
        run for run in whole if run[0] != 20 or run[2] != 1
    ]


def test_what_makes_no_sense_may_be_excluded() -> None:
    assert {depth for depth, *_ in left("model.depth=20,21", "hydra.sweeper.exclude=[{model.depth:21}]")} == {
        20
    }


def test_what_makes_no_sense_is_skipped_where_that_is_asked_and_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(UserError, match="20 and 26"):
        left("model.depth=20,21")
    assert {depth for depth, *_ in left("model.depth=20,21", "hydra.sweeper.skip_invalid=true")} == {20}
    told = capsys.readouterr().err
    assert "4 of 8 runs are left out by hydra.sweeper.skip_invalid, for example " in told
    assert "20 and 26" in told


def test_where_nothing_makes_sense_the_first_mistake_is_told() -> None:
    with pytest.raises(UserError, match=r"model\.depth"):
        left("model.dpeth=3", "hydra.sweeper.skip_invalid=true")


def test_an_experiment_leaves_out_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "configs/experiment").mkdir(parents=True)
    (tmp_path / "configs/experiment/few.yaml").write_text(
        """# @package _global_
hydra:
  sweeper:
    params: {model.depth: "20,32", seed: "0,1"}
    exclude: [{model.depth: 32, seed: 1}]
"""
    )
    monkeypatch.chdir(tmp_path)
    assert len(configurations(["experiment=few"])) == runs_of_experiment(["experiment=few"]) == 3
    assert len(configurations(["experiment=few", "hydra.sweeper.exclude=null"])) == 4
