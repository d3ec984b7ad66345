"""Runs on this machine: what happens to one of them costs only itself."""

import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from resnet_lab.cores import SHARE, cores
from resnet_lab.errors import UserError
from resnet_lab.sweeps.board import Board
from resnet_lab.sweeps.jobs import Job
from resnet_lab.sweeps.places import local
from resnet_lab.sweeps.places.local import PRELOADED, Local, LocalOptions, Slots
from resnet_lab.sweeps.places.slurm import SlurmOptions
from resnet_lab.sweeps.plugins import options_of
from resnet_lab.sweeps.ray import RayOptions
from resnet_lab.sweeps.search import SearchOptions
from resnet_lab.sweeps.sweep import run_sweep

MakeJob = Callable[..., Job]
MakePlace = Callable[..., Local]


def sweep(jobs: Sequence[Job], place: Local) -> None:
    run_sweep(jobs, place, Board(jobs, Console(quiet=True)))


def trains(job: Job) -> bool:
    return (job.folder.path / "seen.json").exists()


def seen(job: Job) -> dict[str, object]:
    return dict(json.loads((job.folder.path / "seen.json").read_text()))


def test_runs_that_raise_fail_or_die_cost_only_themselves(make_job: MakeJob, make_place: MakePlace) -> None:
    what = ["raise", "finish", "fail", "die", "finish"]
    jobs = [make_job(seed, do) for seed, do in enumerate(what)]
    sweep(jobs, make_place(slots=2))
    assert [job.status for job in jobs] == ["failed", "finished", "failed", "failed", "finished"]
    assert jobs[0].remark == "ended without a record: RuntimeError: this run is no good"
    assert jobs[2].remark == "the loss is nan at iteration 7"
    assert jobs[3].remark.startswith("killed by SIGKILL")
    assert "Traceback" in jobs[0].folder.log_file.read_text()


def test_after_so_many_failures_no_further_run_begins_and_what_runs_ends(
    make_job: MakeJob, make_place: MakePlace
) -> None:
    jobs = [make_job(seed, do) for seed, do in enumerate(["sleep 0.5", "fail", "finish", "finish"])]
    place = make_place(slots=2)
    run_sweep(jobs, place, Board(jobs, Console(quiet=True)), max_failures=1)
    assert [job.status for job in jobs] == ["finished", "failed", "waiting", "waiting"]
    assert not trains(jobs[2])


def test_each_run_is_a_process_of_its_own_in_a_group_of_its_own(
    make_job: MakeJob, make_place: MakePlace
) -> None:
    jobs = [make_job(seed, "finish") for seed in range(3)]
    sweep(jobs, make_place(slots=1))
    pids = {seen(job)["pid"] for job in jobs}
    assert len(pids) == 3
    assert os.getpid() not in pids
    assert all(seen(job)["pid"] == seen(job)["group"] for job in jobs)


def test_as_many_runs_as_slots_train_at_a_time(make_job: MakeJob, make_place: MakePlace) -> None:
    jobs = [make_job(seed, "sleep 0.4") for seed in range(4)]
    sweep(jobs, make_place(slots=2))
    ends = [job.folder.record().cost.train_seconds for job in jobs]
    moments = sorted([(float(str(seen(job)["began"])), 1) for job in jobs] + [(end, -1) for end in ends])
    at_a_time = [sum(step for _, step in moments[: i + 1]) for i in range(len(moments))]
    assert max(at_a_time) == 2
    assert all(seen(job)["cores"] == str(max(1, cores() // 2)) for job in jobs)


def test_a_run_that_outlives_its_timeout_is_stopped(make_job: MakeJob, make_place: MakePlace) -> None:
    jobs = [make_job(0, "sleep 60"), make_job(1, "finish")]
    began = time.monotonic()
    sweep(jobs, make_place(slots=2, run_timeout=0.5))
    assert [job.status for job in jobs] == ["failed", "finished"]
    assert jobs[0].remark == "stopped after run_timeout=0.5 seconds"
    assert time.monotonic() - began < 10


def test_what_a_run_started_ends_with_it(
    make_job: MakeJob, make_place: MakePlace, ends: Callable[[int], None]
) -> None:
    job = make_job(0, "child")
    sweep([job], make_place())
    child = int((job.folder.path / "child").read_text())
    assert job.status == "finished"
    ends(child)


def test_interrupt_stops_the_runs_and_a_second_sweep_ends_them(
    make_job: MakeJob, make_place: MakePlace, once: Callable[..., None]
) -> None:
    jobs = [make_job(seed, "sleep 60") for seed in range(3)]
    once(lambda: trains(jobs[0]) and trains(jobs[1]), os.kill, os.getpid(), signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        sweep(jobs, make_place(slots=2))
    assert [job.status for job in jobs] == ["stopped", "stopped", "waiting"]
    again = [make_job(seed, "finish") for seed in range(3)]
    sweep(again, make_place(slots=2))
    assert [job.status for job in again] == ["finished"] * 3


def test_finished_runs_are_left_alone_and_runs_of_another_process_are_waited_for(
    make_job: MakeJob, make_place: MakePlace, once: Callable[..., None]
) -> None:
    sweep([done := make_job(0, "finish")], make_place())
    began = seen(done)["began"]
    lock = make_job(1, "finish").folder.lock()
    lock.__enter__()
    jobs = [make_job(seed, "finish") for seed in range(3)]
    assert [job.status for job in jobs] == ["already there", "running elsewhere", "waiting"]
    once(lambda: jobs[2].folder.state() == "finished", lock.__exit__, None, None, None)
    sweep(jobs, make_place())
    assert [job.status for job in jobs] == [
        "already there",
        "finished",
        "finished",
    ]  # it was left, so it was done here
    assert seen(done)["began"] == began


def test_no_process_is_started_when_nothing_is_left_to_do(
    make_job: MakeJob, make_place: MakePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep([make_job(0, "finish")], make_place())
    monkeypatch.setattr(local, "subprocess", None)
    sweep([job := make_job(0, "finish")], make_place())
    assert job.status == "already there"


def test_a_file_of_the_working_folder_named_as_the_standard_librarys_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("queue", "profile", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not the standard library')")
    monkeypatch.chdir(tmp_path)
    server, connection = local.server_process(["queue", "profile"], os.environ)
    assert connection.recv() == {"ready": True}
    connection.close()
    server.wait()


def test_killed_server_costs_only_the_runs_it_had_forked(
    make_job: MakeJob, make_place: MakePlace, once: Callable[..., None]
) -> None:
    jobs = [make_job(0, "sleep 30"), make_job(1, "finish")]
    place = make_place(slots=1)

    def kill_server() -> None:
        status = Path(f"/proc/{seen(jobs[0])['pid']}/stat").read_text()
        os.kill(int(status.rpartition(")")[2].split()[1]), signal.SIGKILL)  # who forked the run

    once(lambda: trains(jobs[0]), kill_server)
    sweep(jobs, place)
    assert [job.status for job in jobs] == ["failed", "finished"]


def on_gpus(job: Job, devices: int = 1) -> Job:
    trainer = replace(job.config.trainer, accelerator="gpu", devices=devices)
    job.config = replace(job.config, trainer=trainer)
    return job


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As if torch had seen two of them; the toy only tells which it was given."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / "two.py").write_text("def main(_):\n    print(2)\n    return 0\n")
    monkeypatch.setattr(local, "COUNT_DEVICES", "two")


@pytest.mark.parametrize(
    ("options", "devices", "expected"),
    [
        ({}, 1, ["0", "0", "1", "1"]),  # two at a time
        ({}, 2, ["0,1"] * 4),  # one after another
        ({"gpus_per_run": 2}, 1, ["0,1"] * 4),
        ({"runs_per_gpu": 2}, 1, ["0", "0", "1", "1"]),  # all four at a time
    ],
)
def test_each_run_sees_the_gpus_of_its_slot_alone(
    make_job: MakeJob, make_place: MakePlace, two_gpus: None, options: Any, devices: int, expected: list[str]
) -> None:
    jobs = [on_gpus(make_job(seed, "sleep 0.3"), devices) for seed in range(4)]
    sweep(jobs, make_place(**options))
    assert sorted(str(seen(job)["gpus"]) for job in jobs) == expected


def test_more_gpus_than_there_are_is_told_before_any_run(
    make_job: MakeJob, make_place: MakePlace, two_gpus: None
) -> None:
    jobs = [on_gpus(make_job(0, "finish"), 3)]
    with pytest.raises(UserError, match="3 GPUs for a run: 2 visible here"):
        sweep(jobs, make_place())
    assert not trains(jobs[0])


def test_each_mig_slice_has_a_run_of_its_own(
    make_job: MakeJob, make_place: MakePlace, monkeypatch: pytest.MonkeyPatch, two_gpus: None
) -> None:
    """Of which PyTorch counts one, whatever their number."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-a,MIG-b,MIG-c")
    jobs = [on_gpus(make_job(seed, "sleep 0.3")) for seed in range(3)]
    sweep(jobs, make_place())
    assert sorted(str(seen(job)["gpus"]) for job in jobs) == ["MIG-a", "MIG-b", "MIG-c"]
    with pytest.raises(UserError, match="2 MIG slices for a run: a process sees one"):
        sweep([on_gpus(make_job(7, "finish"), 2)], make_place())


def test_run_that_is_to_use_the_cpu_sees_no_gpu_beside_one_that_does(
    make_job: MakeJob, make_place: MakePlace, two_gpus: None
) -> None:
    jobs = [on_gpus(make_job(0, "finish")), make_job(1, "finish")]
    sweep(jobs, make_place())
    assert [seen(job)["gpus"] for job in jobs] == ["0", ""]


def test_error_while_gpus_are_counted_is_told_and_is_no_gpu(
    make_job: MakeJob, make_place: MakePlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.py").write_text("def main(_):\n    raise RuntimeError('driver too old')\n")
    monkeypatch.setattr(local, "COUNT_DEVICES", "broken")
    job = on_gpus(make_job(0, "finish"))
    with pytest.raises(UserError, match="the GPUs cannot be counted: RuntimeError: driver too old; trainer"):
        sweep([job], make_place())
    assert not trains(job)


@pytest.mark.slow
def test_run_starts_in_well_under_a_second(make_job: MakeJob, make_place: MakePlace) -> None:
    place = Local(LocalOptions(slots=1), program="toy", preloaded=[*PRELOADED, "toy"])
    jobs = [make_job(seed, "finish") for seed in range(5)]
    began = time.time()
    make_place()
    sweep(jobs, place)
    starts = [float(str(seen(job)["began"])) for job in jobs]
    assert starts[0] - began > 1  # the imports, once
    assert min(after - before for before, after in pairwise(starts)) < 0.5


@pytest.mark.parametrize(
    ("kind", "option", "value", "allowed"),
    [
        (LocalOptions, "slots", 0, "at least 1"),
        (LocalOptions, "run_timeout", 0.0, "greater than 0"),
        (SlurmOptions, "cpus_per_task", 0, "at least 1"),
        (RayOptions, "num_gpus", -1.0, "at least 0"),
        (SearchOptions, "n_trials", 0, "at least 1"),
        (SearchOptions, "sampler", "tpee", "did you mean 'tpe'"),
        (LocalOptions, "slots", "many", "many"),
    ],
)
def test_an_option_that_is_not_allowed_is_refused(kind: type, option: str, value: Any, allowed: str) -> None:
    with pytest.raises(UserError) as refused:
        options_of(kind, {option: value})
    assert f"hydra.launcher.{option}" in str(refused.value)
    assert allowed in str(refused.value)


@pytest.fixture
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "cores", lambda: 8)


def test_a_run_takes_the_cores_that_it_computes_with_or_an_equal_share_of_them(eight_cores: None) -> None:
    there = Slots([str(core) for core in range(8)])
    taken = [there.take(count) for count in (1, 4, 4, 3)]
    assert [len(places) if places else None for places in taken] == [1, 4, None, 3]
    assert [Slots(["0"] * count).cores for count in (2, 3, 20)] == [4, 2, 1]
    assert Slots(["0", "1"]).environment(["0"]) == {"CUDA_VISIBLE_DEVICES": "", SHARE: "4"}


def test_small_nets_share_a_gpu_the_emptiest_first(eight_cores: None) -> None:
    there = Slots(["0", "1"], seats=2, gpu=True)
    assert [there.take(1) for _ in range(5)] == [("0",), ("1",), ("0",), ("1",), None]
    there.give_back(["0"])
    assert there.take(1) == ("0",)
    assert there.environment(["0", "1"]) == {"CUDA_VISIBLE_DEVICES": "0,1", SHARE: "4"}


def test_slots_bound_the_runs_at_a_time() -> None:
    there = Slots(["0", "1", "2"], seats=2, limit=1, gpu=True)
    assert there.take(2) == ("0", "1")
    assert there.take(1) is None
