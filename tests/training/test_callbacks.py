"""The history on disk, and what a log or a terminal is told."""

import re
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.callbacks import Callback, LambdaCallback

import toy_training as toy
from resnet_lab.training import callbacks
from resnet_lab.training.callbacks import COLUMNS, Bar, History, Lines, progress, silence
from resnet_lab.training.csv_file import CsvFile, SpoiltFile
from resnet_lab.training.schedules import learning_rate


def test_history_has_a_row_an_epoch_with_the_logged_figures(tmp_path: Path) -> None:
    recipe = toy.recipe(schedule="cosine", iterations=8)
    _, trainer = toy.fit(recipe, History(tmp_path / "history.csv"))
    rows = toy.read(tmp_path / "history.csv")
    assert tuple(rows[0]) == COLUMNS
    assert [(row["epoch"], row["iteration"]) for row in rows] == [("1", "6"), ("2", "8")]
    rates = [learning_rate(iteration, recipe, 8) for iteration in (5, 7)]
    assert [float(row["lr"]) for row in rows] == pytest.approx(rates, rel=1e-5)
    for name in ("train/loss", "train/error", "test/loss", "test/error", "test/top5_error"):
        assert float(rows[-1][name]) == pytest.approx(float(trainer.callback_metrics[name]), rel=1e-5)
    assert rows[0]["test/loss"] != rows[1]["test/loss"]
    assert all(row["val/error"] == row["val/loss"] == "" for row in rows)
    assert all(float(row["seconds"]) > 0 for row in rows)


def test_epoch_without_an_evaluation_repeats_no_old_figures(tmp_path: Path) -> None:
    toy.fit(toy.recipe(epochs=4), History(tmp_path / "history.csv"), check_val_every_n_epoch=2)
    assert [row["test/error"] == "" for row in toy.read(tmp_path / "history.csv")] == [
        True,
        False,
        True,
        False,
    ]


def test_file_is_replaced_whole_whatever_became_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    file = CsvFile(path, ("epoch", "value"))
    file.append([{"epoch": 1, "value": 0.5}])
    path.write_text("epoch,va")
    file.append([{"epoch": 2}])
    assert path.read_text() == "epoch,value\n1,0.5\n2,\n"
    assert [file.name for file in tmp_path.iterdir()] == ["table.csv"]


def test_file_of_a_checkpoint_replaces_what_lies_there(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    before = CsvFile(path, ("epoch", "value"))
    before.append([{"epoch": 1, "value": 0.5}])
    state = before.state()
    before.append([{"epoch": 2, "value": 0.25}])
    for write in (False, True):
        file = CsvFile(path, ("epoch", "value"))
        file.restore(state, 7, write=write)
        file.begin()
        assert path.read_text() == f"epoch,value\n1,0.5\n{'' if write else '2,0.25' + chr(10)}"
    CsvFile(path, ("epoch", "value")).begin()  # from the start
    assert not path.exists()
    with pytest.raises(SpoiltFile, match="checkpoint of iteration 7 does not hold the rows of"):
        file.restore({"seconds": 1.0}, 7, write=True)


def test_log_gets_one_plain_line_an_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    toy.fit(toy.recipe(epochs=2), Lines())
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    pattern = r"epoch 2 of 2  iteration 12 of 12  lr 0\.1  train/error [\d.]+  test/error [\d.]+  [\d.]+ s"
    assert len(lines) == 2
    assert re.fullmatch(pattern, lines[1])
    assert re.search(r" s, about \d+ s left$", lines[0])
    assert "\r" not in "".join(lines)


def test_long_epochs_are_heard_of_within(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callbacks, "HEARTBEAT", 0.0)
    toy.fit(toy.recipe(epochs=1), Lines())
    assert "epoch 1 of 1  iteration 3 of 6  batch 3/6" in capsys.readouterr().out


def test_lightning_calls_no_hook_that_does_nothing() -> None:
    class Own(Callback):
        seen = 0

        def on_train_batch_end(self, *_: Any) -> None:
            self.seen += 1

    given = LambdaCallback(on_after_backward=lambda *_: None)
    silence(idle := [Own(), given, Lines()])
    called = [{hook for hook in callbacks.STEP_HOOKS if getattr(each, hook) is not None} for each in idle]
    assert called == [{"on_train_batch_end"}, {"on_after_backward"}, {"on_train_batch_end"}]
    toy.fit(toy.recipe(epochs=1), *idle)
    assert isinstance(idle[0], Own)
    assert idle[0].seen == 6


def test_terminal_gets_a_bar_and_a_pipe_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(progress(), Lines)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert isinstance(progress(), Bar)


def test_bar_shows_errors_and_no_version_of_a_logger(capsys: Any) -> None:
    bar = Bar()
    module, trainer = toy.fit(toy.recipe(epochs=1), bar, enable_progress_bar=True)
    shown = bar.get_metrics(trainer, module)
    assert set(shown) == {"train error", "test error"}


def test_the_bar_counts_epochs_from_1_of_all_and_says_errors_and_the_time_left() -> None:
    shown = []

    class Watched(Bar):
        def on_train_batch_end(self, *arguments: Any) -> None:
            super().on_train_batch_end(*arguments)
            shown.append(str(self.train_progress_bar))

    toy.fit(toy.recipe(epochs=2), Watched(), enable_progress_bar=True)
    assert re.match(r"epoch 1 of 2: .*6/6, left=\d+ s", shown[5])
    assert re.match(r"epoch 2 of 2: .*6/6, test error=[\d.]+ %", shown[-1])
