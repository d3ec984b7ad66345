"""One list says what tables call a figure, and how they print it."""

from pathlib import Path

import pytest

from resnet_lab.columns import COLUMNS, Column, choice_word, headings, names, objective, run_names, seconds
from resnet_lab.report import collect, group_table, summarise
from resnet_lab.report.page.data import page_data
from resnet_lab.report.table import group_figures, run_figures
from run_folders import configured, finished


def test_a_new_figure_is_one_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new = Column("total_seconds", "all in all", "cost", "total_seconds", "s", seconds, "lower")
    monkeypatch.setitem(COLUMNS, new.name, new)
    finished(configured(tmp_path), 4.0)
    runs = collect(tmp_path)
    groups = summarise(runs)
    assert "all in all (s)" in group_table(groups, show=["total_seconds"]).columns
    assert group_figures(groups)[0]["total_seconds_mean"] == 60.0
    assert run_figures(groups)[0]["total_seconds"] == 60.0
    assert "total_seconds" in [column["name"] for column in page_data({"one": runs})["columns"]]


def test_what_runs_are_judged_by_is_a_column() -> None:
    assert objective() is COLUMNS["test_error"]
    assert objective().validated is COLUMNS["val_error"]
    iou = objective("test/iou", "max")
    assert (iou.name, iou.title, iou.validated.key, iou.worse(-0.1)) == (
        "test_iou",
        "test iou",
        "val/iou",
        True,
    )
    assert iou.signed(-0.12344) == "-0.1234"


def test_headings_are_words_and_keys_where_two_words_are_the_same() -> None:
    assert headings(["recipe.lr", "model.shortcut"]) == {
        "recipe.lr": "learning rate",
        "model.shortcut": "shortcut",
    }
    assert headings(["data.size", "model.size"]) == {"data.size": "data.size", "model.size": "model.size"}
    assert [choice_word("model.shortcut", kind) for kind in ("none", "A")] == ["plain", "residual (A)"]
    assert choice_word("model.batch_norm", False) == "batch norm off"


def test_names_say_what_varies() -> None:
    choices = [{"recipe.lr": 0.1, "data.flip": True}, {"recipe.lr": 0.2, "data.flip": True}]
    assert names(["resnet-20", "resnet-20"], choices) == ["resnet-20 lr=0.1", "resnet-20 lr=0.2"]
    assert names(["resnet-20", "resnet-56"], choices) == ["resnet-20", "resnet-56"]
    twice = run_names(["resnet-20"] * 2, choices[:1] * 2, [0, 0], ["resnet-20-s0-aa", "resnet-20-s0-bb"])
    assert twice == ["resnet-20 s0 aa", "resnet-20 s0 bb"]
