"""What a sweep shows of its runs: how far they are, what they reach, how long the rest takes."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from resnet_lab.config.schema import TrainConfig
from resnet_lab.runs.history import read_or_empty
from resnet_lab.runs.record import Record, State
from resnet_lab.sweeps.board import Board, causes, print_summary, run_table
from resnet_lab.sweeps.jobs import Job, name_jobs
from resnet_lab.tracking.facts import facts_of
from run_folders import configured, finished, interrupted, write_history


def job(config: TrainConfig, status: str) -> Job:
    made = Job.of(config)
    made.status = status
    return made


def shown(act: Callable[[Console], None]) -> str:
    text = io.StringIO()
    act(Console(file=text, width=400))
    return text.getvalue()


def test_a_plain_line_tells_how_long_the_rest_will_take(tmp_path: Path) -> None:
    finished(configured(tmp_path, seed=0), 3.0)  # 60 s
    done, waiting = (
        job(configured(tmp_path, seed=0), State.ALREADY),
        job(configured(tmp_path, seed=1), State.WAITING),
    )
    done.status = State.FINISHED
    said = shown(lambda console: Board([done, waiting], console).changed(done))
    assert "[1/2]" in said
    assert said.rstrip().endswith("; about 60 s left")


def test_the_end_has_nothing_left(tmp_path: Path) -> None:
    finished(configured(tmp_path), 3.0)
    done = job(configured(tmp_path), State.FINISHED)
    assert "left" not in shown(lambda console: Board([done], console).changed(done))


def test_the_table_tells_images_a_second_memory_and_what_will_fail(tmp_path: Path) -> None:
    first, second = configured(tmp_path, seed=0), configured(tmp_path, seed=1)
    folder = finished(first, 3.0)
    record = folder.record()
    assert record is not None
    record.cost.images_per_second, record.cost.peak_memory_mib = 1862.7, 634.1
    folder.write_record(record)
    going = interrupted(replace(second), [50.0, 20.0])
    rows = going.history_file.read_text().replace("0.5,10.0", "9.5,10.0")
    jobs = [job(first, State.FINISHED), job(second, State.RUNNING)]
    going.history_file.write_text(rows)
    said = shown(lambda console: console.print(run_table(jobs, console)))
    assert all(words in said for words in ("1,863", "634 MiB", "1 of 12"))
    assert "has grown from 0.5 to 9.5" in str(causes(jobs)[0])


def test_on_80_columns_each_run_is_a_line_and_each_of_ten_causes_another(tmp_path: Path) -> None:
    jobs = [job(configured(tmp_path, 110, "constant_scaling", seed=seed), State.FAILED) for seed in range(13)]
    for each in jobs:
        each.remark = (
            "the loss is nan at iteration 17: try recipe.lr=0.01, a tenth of this run's learning rate"
        )
    text = io.StringIO()
    print_summary(jobs, Console(file=text, width=80))
    lines = text.getvalue().splitlines()
    table, below = lines[1:14], lines[14:-2]
    assert [line.split()[0] for line in table] == [each.name for each in jobs]
    assert all("failed" in line and len(line) <= 80 for line in table)
    assert len(below) == 11
    assert all(line.endswith("learning rate") for line in below[:10])
    assert below[10] == f"and 3 more: resnet-lab status {tmp_path / 'quickstart'}"


def test_on_80_columns_a_running_run_tells_its_epoch_and_error(tmp_path: Path) -> None:
    config = configured(tmp_path, 110, "constant_scaling")
    interrupted(config, [50.0, 20.0])
    running, text = job(config, State.RUNNING), io.StringIO()
    console = Console(file=text, width=80)
    console.print(run_table([running], console))
    head, line = text.getvalue().splitlines()
    assert len(line) <= 80
    assert all(words in line for words in (running.name, "running", "1 of 12", "20.00 %"))
    assert "images/s" not in head


def test_a_history_that_is_damaged_costs_no_line(tmp_path: Path) -> None:
    config = configured(tmp_path)
    going = interrupted(config)
    broken = job(config, State.RUNNING)
    going.history_file.write_bytes(b"\xff\xfe\n\n")
    assert broken.name in shown(lambda console: Board([broken], console).changed(broken))
    write_history(going, [50.0])


def test_a_running_runs_history_is_read_again_only_once_it_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(tmp_path)
    going, read = interrupted(config, [50.0]), []
    monkeypatch.setattr(
        "resnet_lab.sweeps.jobs.read_or_empty", lambda path: read.append(path) or read_or_empty(path)
    )
    running = job(config, State.RUNNING)
    for errors, epoch in (([50.0], "0 of 12"), ([50.0, 9.0], "1 of 12")):
        write_history(going, errors)
        read.clear()
        for _ in range(2):
            assert epoch in shown(lambda console: console.print(run_table([running], console)))
        assert read == [going.history_file]


def test_runs_are_called_by_what_varies_in_their_sweep_and_their_folders_know_it(tmp_path: Path) -> None:
    rates = {"recipe.lr": 0.05}, {"recipe.lr": 0.1}
    jobs = [Job.of(configured(tmp_path, seed=seed, **rate)) for rate in rates for seed in (0, 1)]
    name_jobs(jobs)
    names = ["resnet-20 lr=0.05 s0", "resnet-20 lr=0.05 s1", "resnet-20 lr=0.1 s0", "resnet-20 lr=0.1 s1"]
    assert [each.name for each in jobs] == names
    assert [each.folder.title() for each in jobs] == names
    assert facts_of(jobs[2].config, Record(), jobs[2].folder.path).name == "resnet-20 lr=0.1 s0"
    said = shown(lambda console: console.print(run_table(jobs, console)))
    assert "resnet-20 lr=0.05 s1" in said
