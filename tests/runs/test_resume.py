"""A run folder that is executed again goes on, and ends as the run that nothing disturbed, bit for bit."""

import csv
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import folders
from forked import iterations, killed, killed_when, on_batch, restored
from resnet_lab.config.schema import CheckpointConfig, TrainConfig
from resnet_lab.runs import assemble, weights_file
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.record import Failure
from resnet_lab.training import Classifier, evaluation

MakeConfig = Callable[..., TrainConfig]

# 5 iterations an epoch, 3 epochs: checkpoints of 2, 4, 5, 6, 8, 10, 12, 14 and 15.
EVERY_2 = {"checkpoint": CheckpointConfig(every_iterations=2)}


def told(folder: RunFolder) -> dict[str, Any]:
    """Everything a run leaves, without times and what tells of the resumes."""
    record = folder.record()
    assert record is not None
    with folder.history_file.open(newline="") as file:
        rows = [
            {key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)
        ]
    local = ("started", "finished", "resumes", "resumed_from", "config", "environment", "files")
    kept = {key: value for key, value in vars(record).items() if key not in local}
    return {
        **kept,
        "cost": record.cost.images,
        "history": rows,
        "weights": folder.weights_file.read_bytes(),
    }


@pytest.fixture
def folder(make_config: MakeConfig) -> RunFolder:
    return RunFolder.create(make_config(callbacks=EVERY_2))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the run that nothing disturbs leaves; filled by the first test that asks."""
    return {"path": tmp_path_factory.mktemp("whole")}


@pytest.fixture
def expected(whole: dict[str, Any], make_config: MakeConfig) -> dict[str, Any]:
    if "told" not in whole:
        folder = RunFolder.create(make_config(callbacks=EVERY_2, runs_root=str(whole["path"])))
        assert execute(folder.path).state == "finished"
        whole["told"] = told(folder)
    return dict(whole["told"])


@pytest.mark.parametrize(
    ("moment", "iteration", "goes_on_from"),
    [
        ("before", 2, []),  # nothing was written yet: from the start
        ("after", 4, [4]),  # within the first epoch
        ("before", 5, [4]),  # the epoch's row of history.csv is there, its checkpoint is not
        ("after", 10, [10]),  # between two epochs
        ("within", 12, [10]),
        ("after", 15, [15]),  # trained, not yet tested
    ],
)
def test_run_killed_anywhere_ends_as_the_run_that_was_not(
    moment: str, iteration: int, goes_on_from: list[int], folder: RunFolder, expected: dict[str, Any]
) -> None:
    killed(folder, moment, iteration)
    assert execute(folder.path).resumes == 1
    assert restored(folder) == goes_on_from
    assert told(folder) == expected
    assert not list(folder.path.rglob(".*"))


@pytest.mark.parametrize(
    ("owner", "name", "call", "goes_on_from"),
    [
        (assemble, "count", 1, []),  # in its first second: nothing is built yet
        (Classifier, "training_step", 1, []),
        (Classifier, "validation_step", 2, [4]),  # within the evaluation that ends the first epoch
        (evaluation, "probabilities", 2, [15]),  # within the final test
        (weights_file, "write", 1, [15]),  # tested, and nothing of it written
        (RunFolder, "write_record", 1, [15]),  # all is written but the record
    ],
)
def test_run_killed_outside_its_steps_ends_as_the_run_that_was_not(
    owner: Any, name: str, call: int, goes_on_from: list[int], folder: RunFolder, expected: dict[str, Any]
) -> None:
    killed_when(folder, owner, name, call)
    assert execute(folder.path).state == "finished"
    assert restored(folder) == goes_on_from
    assert told(folder) == expected


def test_run_killed_again_and_again_ends_as_the_run_that_was_not(
    folder: RunFolder, expected: dict[str, Any]
) -> None:
    for moment, iteration in (("within", 4), ("after", 6), ("before", 10), ("after", 14)):
        killed(folder, moment, iteration)
    assert execute(folder.path).resumes == 4
    assert restored(folder) == [2, 6, 8, 14]
    assert told(folder) == expected


def without(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    """In the middle of its last line, as no process of ours leaves it."""
    path.write_bytes(path.read_bytes()[:-9])


def of_more_epochs(path: Path) -> None:
    path.write_text(path.read_text() + "3,15,0.1,,,,,,,,1\n4,20,0.1,,,,,,,,1\n")


@pytest.mark.parametrize(
    ("spoil", "iteration"),
    [
        (without, 8),
        (without, 15),  # trained, not yet tested
        (cut, 8),
        (of_more_epochs, 8),
    ],
)
def test_spoilt_history_is_written_again_from_the_checkpoint(
    spoil: Callable[[Path], None], iteration: int, folder: RunFolder, expected: dict[str, Any]
) -> None:
    killed(folder, "after", iteration)
    spoil(folder.history_file)
    assert execute(folder.path).state == "finished"
    assert told(folder) == expected


def test_checkpoint_that_holds_no_history_goes_on_with_nothing_and_says_so(folder: RunFolder) -> None:
    """As of an earlier version."""
    killed(folder, "after", 8)
    for path in folder.checkpoints.iterdir():
        checkpoint = torch.load(path, weights_only=True)
        del checkpoint["callbacks"]["History"]["table"]
        torch.save(checkpoint, path)
    before = folder.history_file.read_bytes()
    error = execute(folder.path).error
    assert error.kind == "spoilt_history"
    assert "iteration 8 does not hold the rows of" in error.message
    assert folder.history_file.read_bytes() == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_that_ends_a_run_leaves_a_checkpoint_of_the_very_iteration(
    number: int, folder: RunFolder, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    on_batch(monkeypatch, lambda trainer: trainer.global_step == 7 and os.kill(os.getpid(), number))
    with pytest.raises((KeyboardInterrupt, SystemExit)) as ending:
        execute(folder.path)
    interrupted = number == signal.SIGINT
    assert ending.value.args == (() if interrupted else (128 + number,))
    assert iterations(folder)[0] == 7
    assert folder.state() == "interrupted"
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers
    monkeypatch.undo()
    execute(folder.path)
    assert restored(folder) == [7]
    assert told(folder) == expected


@pytest.mark.parametrize("recipe", [{}, {"ema": 0.9}], ids=["plain", "averaged"])
def test_signal_within_an_evaluation_keeps_its_epoch_and_the_evaluation_is_made_again(
    recipe: dict[str, Any], make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once within the validation images of the second epoch, then within the test images after them."""
    whole, stopped = (
        RunFolder.create(make_config(name=name, recipe=recipe)) for name in ("whole", "stopped")
    )
    execute(whole.path)
    step, stops = Classifier.validation_step, ["val", "test"]

    def signalled(self: Classifier, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        step(self, batch, batch_idx, dataloader_idx)
        if self.trainer.global_step == 10 and self.eval_names[dataloader_idx] in stops:
            stops.remove(self.eval_names[dataloader_idx])
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Classifier, "validation_step", signalled)
    while stops:
        with pytest.raises(SystemExit):
            execute(stopped.path)
        assert iterations(stopped) == [10, 5]
    execute(stopped.path)
    assert restored(stopped) == [10, 10]
    assert {**told(stopped), "experiment": ""} == {**told(whole), "experiment": ""}


def test_finished_run_returns_its_record_and_writes_nothing(folder: RunFolder) -> None:
    record = execute(folder.path)
    before = {path: path.stat().st_mtime_ns for path in folder.path.rglob("*")}
    assert execute(folder.path) == record
    assert {path: path.stat().st_mtime_ns for path in folder.path.rglob("*")} == before


def test_failed_run_goes_on_and_its_record_is_replaced(
    folder: RunFolder, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(trainer: Any) -> None:
        if trainer.global_step == 9:
            raise RuntimeError("a cable was pulled")

    on_batch(monkeypatch, fail)
    assert execute(folder.path).error == Failure("other", "RuntimeError: a cable was pulled")
    assert folder.state() == "failed"
    monkeypatch.undo()
    assert execute(folder.path).error is None
    assert restored(folder) == [8]
    assert told(folder) == expected


KINDS: dict[str, dict[str, Any]] = {
    "averaged": {"recipe": {"ema": 0.9, "schedule": "one_cycle", "accumulate": 2}},
    "random": {
        "model": {"shortcut": "dropout", "branch_dropout": 0.2, "drop_path": 0.2},
        "recipe": {"mixup": 0.2, "cutmix": 1.0},
    },
    "counted in iterations": {
        "recipe": {"epochs": None, "iterations": 13, "optimizer": "adamw", "lr": 0.001, "clip": 1.0}
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_run_goes_on_within_an_epoch_with_all_that_it_had(
    kind: str, make_config: MakeConfig
) -> None:
    goes_on_within_an_epoch(lambda name: make_config(callbacks=EVERY_2, name=name, **KINDS[kind]))


def test_run_on_image_files_goes_on_within_an_epoch(make_config: MakeConfig, tmp_path: Path) -> None:
    root = folders.make(tmp_path / "images")
    model = {"family": "cifar", "in_channels": 3, "num_classes": 3, "drop_path": 0.2}
    goes_on_within_an_epoch(
        lambda name: make_config(
            callbacks=EVERY_2, name=name, data=folders.config(root), model=model, recipe={"batch_size": 8}
        )
    )


def goes_on_within_an_epoch(make: Callable[[str], TrainConfig]) -> None:
    """Weights, history, record, cost and what the probes measured are those of the run that was not killed."""
    made = []
    for name in ("whole", "killed"):
        config = make(name)
        config.callbacks.probe.layer_responses = config.callbacks.probe.gradient_norms = 1
        made.append(RunFolder.create(config))
    assert execute(made[0].path).state == "finished"
    killed(made[1], "after", 6)
    assert execute(made[1].path).state == "finished"
    assert restored(made[1]) == [6]
    expected, found = ({**told(each), "experiment": ""} for each in made)
    assert found == expected
    for table in ("layer_responses.csv", "gradient_norms.csv"):
        assert (made[0].path / table).read_bytes() == (made[1].path / table).read_bytes()
