"""A metric and a callback of one's own, of files outside the package: trained, killed, resumed, swept, reported."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from forked import killed, restored
from own_project import SMALL, project, refused, rows
from resnet_lab.cli import main
from resnet_lab.config.identity import identity
from resnet_lab.config.request import compose
from resnet_lab.errors import UserError
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder

EXAMPLES = Path(__file__).parents[2] / "examples"
STOP = "callbacks.extra.stop={_target_: my_callback.Stop, target: 100, times: 2}"
METRIC = "metrics.brier={_target_: my_metric.Brier}"
OTHERS = """

import torch


class Halved(Callback):  # what a checkpoint holds is not what was trained
    def on_save_checkpoint(self, trainer, module, checkpoint):
        checkpoint["state_dict"] = {name: value / 2 for name, value in checkpoint["state_dict"].items()}


class Late(Callback):  # as StochasticWeightAveraging does
    def on_train_end(self, trainer, module):
        for value in module.parameters():
            value.data.zero_()


class Counting(Callback):  # and keeps nothing of it
    def __init__(self):
        self.batches = 0

    def on_train_batch_end(self, *_):
        self.batches += 1


class Odd(Callback):
    def state_dict(self):
        return {"function": Odd}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    parts = {
        "my_metric": (EXAMPLES / "brier.py").read_text(),
        "my_callback": (EXAMPLES / "patience.py").read_text() + OTHERS,
    }
    with project(tmp_path, monkeypatch, parts) as path:
        yield path


def test_a_run_with_a_metric_of_ones_own_is_killed_and_ends_as_the_run_that_was_not() -> None:
    asked = [*SMALL, METRIC, "metrics=per_class"]
    whole = RunFolder.create(compose([*asked, "name=whole"]))
    record = execute(whole.path)
    assert record.error is None
    folder = RunFolder.create(compose(asked))
    killed(folder, "after", 4)
    resumed = execute(folder.path)
    assert restored(folder) == [4]
    assert resumed.last == record.last
    assert 0 < record.last["test/brier"] < 2
    assert rows(folder) == rows(whole)
    assert folder.weights_file.read_bytes() == whole.weights_file.read_bytes()


def test_a_run_that_is_tested_again_gives_what_its_final_test_gave(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = RunFolder.create(compose([*SMALL, METRIC, "metrics=per_class", "recipe.epochs=1"]))
    last = execute(run.path).last
    assert main(["evaluate", "--run", str(run.path)]) == 0
    told = dict(line.split() for line in capsys.readouterr().out.splitlines() if len(line.split()) == 2)
    assert (told.pop("metric"), told.pop("digits,")) == (run.path.name, "single_view")
    assert len(told) == 12  # brier, f1 and the accuracy of each digit
    assert told == {name: f"{last[f'test/{name}']:.4f}" for name in told}


def test_a_metric_makes_no_other_run_and_one_that_is_lacking_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = compose(SMALL)
    assert identity(compose([*SMALL, METRIC])) == identity(plain)
    run = RunFolder.create(plain)
    execute(run.path)
    assert main(["train", *SMALL, METRIC]) == 0
    command = f"resnet-lab evaluate --run {run.path}"
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith(f"finished without metrics.brier: {command} with the same metrics computes them")
    assert main([*command.split()[1:], METRIC]) == 0
    assert "brier" in capsys.readouterr().out.splitlines()[-1]


def test_a_callback_that_stops_early_is_killed_and_stops_where_the_run_stopped_that_was_not() -> None:
    asked = [*SMALL, STOP, "recipe.epochs=4"]
    whole = RunFolder.create(compose([*asked, "name=whole"]))
    record = execute(whole.path)
    assert (record.error, record.stopped_early_at) == (None, 6)
    # after its first evaluation, which it must still count; and once it has stopped, before the test
    for name, iteration in (("counting", 4), ("stopped", 6)):
        folder = RunFolder.create(compose([*asked, f"name={name}"]))
        killed(folder, "after", iteration)
        resumed = execute(folder.path)
        assert restored(folder) == [iteration]
        assert resumed.stopped_early_at == 6
        assert rows(folder) == rows(whole)
        assert folder.weights_file.read_bytes() == whole.weights_file.read_bytes()


def test_a_callback_makes_another_run_unless_it_says_that_it_changes_no_result(folder: Path) -> None:
    plain, stops = compose(SMALL), compose([*SMALL, STOP])
    silent = "callbacks.extra.stop={_target_: my_callback.Stop, identity: false}"
    assert identity(stops) != identity(plain)
    assert identity(compose([*SMALL, silent])) == identity(plain)
    assert identity(compose([*SMALL, STOP.replace("times: 2", "times: 2, identity: true")])) == identity(
        stops
    )
    file = folder / "my_callback.py"
    file.write_text(file.read_text() + "\nEDITED = True\n")
    assert identity(compose([*SMALL, STOP])) != identity(stops)
    assert identity(compose([*SMALL, silent])) == identity(plain)


def test_the_record_tells_of_other_weights_and_of_what_keeps_no_state() -> None:
    extra = "callbacks.extra={half: {_target_: my_callback.Halved}, count: {_target_: my_callback.Counting}}"
    folder = RunFolder.create(compose([*SMALL, "recipe.epochs=1", extra]))
    record = execute(folder.path)
    assert record.weights_of_a_callback is True
    assert record.without_state == ["count"]
    assert "callbacks.extra.count has no state_dict" in folder.log_file.read_text()


def test_weights_that_a_callback_sets_after_training_are_told_and_not_tested() -> None:
    one = "recipe.epochs=1"
    plain = execute(RunFolder.create(compose([*SMALL, one])).path)
    folder = RunFolder.create(compose([*SMALL, one, "callbacks.extra.late={_target_: my_callback.Late}"]))
    record = execute(folder.path)
    assert (plain.changed_after_training, record.changed_after_training) == (False, True)
    assert record.last == plain.last
    assert "tested is the net of the checkpoint" in folder.log_file.read_text()


def test_both_are_swept_and_reported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = [*SMALL, METRIC, STOP, "seed=0,1", "callbacks.extra.stop.times=1,3", "name=own"]
    assert main(["train", "-m", *sweep]) == 0
    assert main(["report", "runs/own"]) == 0
    header = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("| "))
    assert " brier " in header
    assert " times " in header
    with (folder / "runs" / "own" / "table.csv").open(newline="") as file:
        groups = list(csv.DictReader(file))
    assert [group["n"] for group in groups] == ["2", "2"]
    assert ["2 stopped early" in group["remarks"] for group in groups] == [True, False]
    assert all(0 < float(group["test_brier_mean"]) < 2 and group["test_brier_std"] for group in groups)


MISTAKES = {
    "a target that runs programs": (
        "metrics.x._target_=os.system",
        "metrics.x._target_=os.system is refused",
    ),
    "a class that is not there": ("metrics.x._target_=my_metric.Brie", "did you mean my_metric.Brier"),
    "an argument that it does not take": (
        "metrics.x={_target_: my_metric.Brier, bins: 3}",
        "metrics.x._target_=my_metric.Brier: Brier.__init__() got an unexpected keyword argument 'bins'",
    ),
    "a callback that is none": (
        "callbacks.extra.x={_target_: my_metric.Brier}",
        "callbacks.extra.x gives Brier: a lightning.pytorch.Callback is needed",
    ),
    "a monitor that is misspelt": (
        "callbacks.extra.x={_target_: my_callback.Stop, monitor: val/eror}",
        "did you mean 'val/error'",
    ),
    "a choice on the test images": (
        "callbacks.extra.x={_target_: my_callback.Stop, monitor: test/error}",
        "nothing is chosen on the test images",
    ),
    "a state that no checkpoint takes": (
        "callbacks.extra.x={_target_: my_callback.Odd}",
        "callbacks.extra.x has a state that no checkpoint takes",
    ),
    "two states under one name": (
        "callbacks.extra={x: {_target_: my_callback.Stop}, y: {_target_: my_callback.Stop}}",
        "callbacks.extra.y and callbacks.extra.x keep their states under one name, Stop",
    ),
    "no such group": ("metrics=per_clas", "did you mean 'per_class'"),
}


def test_a_monitor_needs_images_that_are_set_aside() -> None:
    early = "callbacks.extra.x={_target_: lightning.pytorch.callbacks.EarlyStopping, monitor: val/error}"
    with pytest.raises(UserError, match="no images are set aside for it"):
        compose([*SMALL, early, "data.validation=0"])


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_before_anything_is_written(
    mistake: str, capsys: pytest.CaptureFixture[str]
) -> None:
    override, told = MISTAKES[mistake]
    assert told in refused([*SMALL, override], capsys)


@pytest.mark.parametrize("name", ["LearningRateFinder", "BatchSizeFinder", "RichProgressBar"])
def test_a_callback_of_lightning_that_cannot_work_here_is_refused_at_once(name: str) -> None:
    with pytest.raises(UserError, match="does not work here"):
        compose([f"callbacks.extra={{mine: {{_target_: lightning.pytorch.callbacks.{name}}}}}"])
