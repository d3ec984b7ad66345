"""Runs as tasks of a real Ray on loopback: what happens to one of them costs only itself."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from rich.console import Console

from resnet_lab.errors import UserError
from resnet_lab.sweeps.jobs import Job
from resnet_lab.sweeps.ray import Ray, RayOptions
from resnet_lab.sweeps.sweep import run_sweep
from resnet_lab.sweeps.table import Board

MakeJob = Callable[..., Job]


def sweep(jobs: Sequence[Job], place: Ray) -> None:
    run_sweep(jobs, place, Board(jobs, Console(quiet=True)))


@pytest.fixture
def toy(make_place: Callable[..., object]) -> str:
    """The name of the toy program, which `make_place` has put on the path."""
    pytest.importorskip("ray")
    return "toy"


@pytest.mark.ray
def test_killed_run_costs_only_itself(make_job: MakeJob, toy: str) -> None:
    jobs = [make_job(seed, do) for seed, do in enumerate(["die", "finish", "raise", "finish"])]
    sweep(jobs, Ray(RayOptions(), program=toy))
    assert [job.status for job in jobs] == ["failed", "finished", "failed", "finished"]
    assert jobs[0].told.startswith("killed by SIGKILL")
    assert jobs[2].told == "ended without a record: RuntimeError: this run is no good"


@pytest.mark.ray
def test_interrupt_stops_the_runs(make_job: MakeJob, toy: str, once: Callable[..., None]) -> None:
    job = make_job(0, "sleep 60")
    once(lambda: (job.folder.path / "seen.json").exists(), os.kill, os.getpid(), signal.SIGTERM)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        sweep([job], Ray(RayOptions(), program=toy))
    assert job.status == "stopped"
    assert job.folder.state() == "interrupted"
    assert time.monotonic() - began < 45


@pytest.mark.ray
def test_sweep_trains_on_a_cluster_that_it_starts_and_stops(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    overrides = ["debug=true", "seed=0,1", "model.depth=8", "trainer.accelerator=cpu"]
    command = [sys.executable, "-m", "resnet_lab.cli", "train", "-m", "hydra/launcher=ray", *overrides]
    done = subprocess.run([*command, f"runs_root={tmp_path}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 finished" in done.stdout


@pytest.mark.ray
def test_run_that_can_never_fit_is_refused(make_job: MakeJob, toy: str) -> None:
    place = Ray(RayOptions(num_cpus=1000), program=toy)
    with pytest.raises(UserError, match=r"hydra\.launcher\.num_cpus=1000: this machine has"):
        sweep([make_job(0, "finish")], place)


def test_missing_ray_is_told_in_one_line(make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'resnet-lab\[ray\]'"):
        Ray(RayOptions()).open([make_job(0, "finish")])
