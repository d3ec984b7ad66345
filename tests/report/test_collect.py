"""Run folders are read in whatever state they are."""

import math
from dataclasses import replace
from pathlib import Path

from resnet_lab.report.collect import collect, read_columns
from resnet_lab.runs.record import Cost
from run_folders import COLUMNS, configured, failed, finished, interrupted, started


def test_every_state_is_told(tmp_path: Path) -> None:
    finished(configured(tmp_path, seed=0), 1.5)
    failed(configured(tmp_path, seed=1), "out_of_memory")
    interrupted(configured(tmp_path, seed=2))
    started(configured(tmp_path, seed=3))
    with started(configured(tmp_path, seed=4)).lock():
        runs = {run.seed: run for run in collect(tmp_path)}
    assert [runs[seed].state for seed in range(5)] == ["finished", "failed", "interrupted", "new", "running"]
    assert [runs[seed].error for seed in range(5)] == [None, "out_of_memory", None, None, None]
    assert runs[0].last("test/error") == 1.5
    assert all(math.isnan(runs[seed].last("test/error")) for seed in range(1, 5))
    assert [run.iterations for run in runs.values()] == [264, 22, 44, 0, 0]
    assert runs[1].record.last == {}
    assert {run.kind for run in runs.values()} == {"residual (basic, A)"}
    assert {run.label for run in runs.values()} == {"resnet-20"}


def test_damaged_and_foreign_folders_cost_one_line_each_and_the_rest_is_read(tmp_path: Path) -> None:
    finished(configured(tmp_path, seed=0), 1.5)
    half = finished(configured(tmp_path, seed=1), 1.5)
    half.record_file.write_text(half.record_file.read_text()[:200])
    newer = finished(configured(tmp_path, seed=2), 1.5)
    newer.write_record(replace(newer.record(), schema=3))
    without = finished(configured(tmp_path, seed=3), 1.5)
    without.write_record(replace(without.record(), cost=Cost()))
    for name, text in (("foreign", "a: list\nof: [other, things]\n"), ("unwritten", "model: {depth: 2")):
        (tmp_path / "quickstart" / name).mkdir()
        (tmp_path / "quickstart" / name / "config.yaml").write_text(text)
    (tmp_path / "quickstart" / "notes").mkdir()
    lines: list[str] = []
    runs = collect(tmp_path, warn=lines.append)
    assert [run.seed for run in runs] == [0]
    assert len(lines) == 5
    assert all("\n" not in line and "left out" in line for line in lines)
    told = {Path(line.split(": ")[0].removeprefix("left out ")).name: line for line in lines}
    assert "schema" in told[newer.path.name]
    assert "cost" in told[without.path.name]
    assert "model" in told["foreign"]


def test_record_alone_is_a_run(tmp_path: Path) -> None:
    """Committed results hold record.json and history.csv only."""
    folder = finished(configured(tmp_path), 2.0)
    folder.config_file.unlink()
    folder.lock_file.unlink()
    for place in (tmp_path, folder.path):
        (run,) = collect(place)
        assert (run.state, run.last("test/error"), len(run.history["epoch"])) == ("finished", 2.0, 12)


def test_what_the_configuration_leaves_to_the_family_is_written_out(tmp_path: Path) -> None:
    folder = interrupted(configured(tmp_path))
    text = folder.config_file.read_text()
    text = text.replace("shortcut: A", "shortcut: auto").replace("block: basic", "block: auto")
    assert text.count(": auto") >= 2
    folder.config_file.write_text(text)
    (run,) = collect(tmp_path)
    assert (run.choices["model.shortcut"], run.choices["model.block"]) == ("A", "basic")


def test_key_of_another_version_does_not_hide_a_run(tmp_path: Path) -> None:
    folder = finished(configured(tmp_path), 2.0)
    record = folder.record()
    record.config["model"]["of_the_future"] = 1
    del record.config["recipe"]["momentum"]
    folder.write_record(record)
    (run,) = collect(tmp_path)
    assert run.choices["recipe.momentum"] == 0.9


def test_line_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text(f"{COLUMNS}\n0,22,0.1,0.5,25.0,,,0.6,50.0,,1.5\n1,44,0.1,0.4,2")
    columns = read_columns(path)
    assert columns["iteration"] == [22.0]
    assert math.isnan(columns["val/error"][0])
    path.write_text(COLUMNS[:20])
    assert read_columns(path) == {}
    assert read_columns(tmp_path / "absent.csv") == {}


def test_links_to_runs_are_followed_and_each_run_is_read_once(tmp_path: Path) -> None:
    one = finished(configured(tmp_path / "runs", seed=0), 8.0).path
    finished(configured(tmp_path / "runs", seed=1), 9.0)
    chosen = tmp_path / "chosen"
    chosen.mkdir()
    (chosen / "best").symlink_to(one)
    (chosen / "again").symlink_to(one)
    (chosen / "whole_sweep").symlink_to(tmp_path / "runs" / "quickstart")
    lines: list[str] = []
    assert [run.seed for run in collect(chosen, warn=lines.append)] == [0, 1]
    runs = collect(tmp_path, warn=lines.append)
    assert [run.path.parent for run in runs] == [one.parent] * 2  # a run's own path before a link's
    assert lines == []


def test_loop_of_links_costs_one_line(tmp_path: Path) -> None:
    finished(configured(tmp_path), 8.0)
    (tmp_path / "quickstart" / "back").symlink_to(tmp_path)
    (tmp_path / "quickstart" / "itself").symlink_to("itself")
    (tmp_path / "quickstart" / "gone").symlink_to(tmp_path / "absent")
    lines: list[str] = []
    assert len(collect(tmp_path, warn=lines.append)) == 1
    assert [line.split(": ")[1].split(" /")[0] for line in sorted(lines)] == [
        "it leads back to",
        "the link leads nowhere",
        "the link leads nowhere",
    ]
