"""A metric of one's own, from a file outside the package: trained, killed, resumed, swept and reported."""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forked import killed, restored
from resnet_lab.cli import main
from resnet_lab.config.compose import compose
from resnet_lab.config.identity import identity
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder
from resnet_lab.training import own

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = [
    *("data.train_images=96", "data.validation=40", "data.test_images=40", "model.depth=8", "model.width=4"),
    *("recipe.batch_size=32", "recipe.epochs=3", "trainer.accelerator=cpu", "trainer.progress=false"),
    "trainer.threads=1",
]
METRIC = "metrics.brier={_target_: my_metric.Brier}"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of somebody's own, in which the commands are given."""
    (tmp_path / "my_metric.py").write_text((EXAMPLES / "brier.py").read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    own.located.cache_clear()
    yield tmp_path
    sys.modules.pop("my_metric", None)


def rows(folder: RunFolder) -> list[dict[str, Any]]:
    with folder.history_file.open(newline="") as file:
        return [
            {key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)
        ]


def test_a_run_with_a_metric_of_ones_own_is_killed_and_ends_as_the_run_that_was_not() -> None:
    asked = [*SMALL, METRIC, "metrics=per_class", "callbacks.checkpoint.every_iterations=2"]
    whole = RunFolder.create(compose([*asked, "name=whole"]))
    record = execute(whole.path)
    assert record["error"] is None
    folder = RunFolder.create(compose(asked))
    killed(folder, "after", 4)
    resumed = execute(folder.path)
    assert restored(folder) == [4]
    assert resumed["last"] == record["last"]
    assert 0 < record["last"]["test/brier"] < 2
    assert rows(folder) == rows(whole)
    assert folder.weights_file.read_bytes() == whole.weights_file.read_bytes()


def test_a_metric_makes_no_other_run_and_one_that_is_lacking_is_told(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = compose(SMALL)
    assert identity(compose([*SMALL, METRIC])) == identity(plain)
    execute(RunFolder.create(plain).path)
    assert main(["train", *SMALL, METRIC]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith("finished without metrics=brier, which change no training")


def test_a_metric_of_ones_own_is_swept_and_reported(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = [*SMALL, METRIC, "recipe.epochs=1", "seed=0,1", "recipe.lr=0.05,0.1", "name=brier"]
    assert main(["train", "-m", *sweep]) == 0
    assert main(["report", "runs/brier"]) == 0
    header = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("| depth"))
    assert " brier " in header
    with (project / "runs" / "brier" / "table.csv").open(newline="") as file:
        groups = list(csv.DictReader(file))
    assert [group["n"] for group in groups] == ["2", "2"]
    assert all(0 < float(group["test_brier_mean"]) < 2 and group["test_brier_std"] for group in groups)


MISTAKES = {
    "a target that runs programs": (
        "metrics.x._target_=os.system",
        "metrics.x._target_=os.system is refused",
    ),
    "a class that is not there": ("metrics.x._target_=my_metric.Brie", "did you mean my_metric.Brier"),
    "an argument that it does not take": (
        "metrics.x={_target_: my_metric.Brier, bins: 3}",
        "metrics.x (my_metric.Brier): Brier.__init__() got an unexpected keyword argument 'bins'",
    ),
    "no such group": ("metrics=per_clas", "did you mean 'per_class'"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_before_anything_is_written(
    mistake: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    override, told = MISTAKES[mistake]
    assert main(["train", *SMALL, override]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not (project / "runs").exists()
