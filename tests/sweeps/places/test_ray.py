"""Runs as tasks of a real Ray on loopback: what happens to one of them costs only itself."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from processes import processes_below
from resnet_lab.errors import UserError
from resnet_lab.sweeps.board import Board
from resnet_lab.sweeps.jobs import Job
from resnet_lab.sweeps.ray import CLUSTERS, Ray, RayOptions
from resnet_lab.sweeps.sweep import run_sweep

MakeJob = Callable[..., Job]


def sweep(jobs: Sequence[Job], place: Ray) -> None:
    run_sweep(jobs, place, Board(jobs, Console(quiet=True)))


@pytest.fixture
def toy(make_place: Callable[..., object], monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the toy program, which `make_place` has put on the path."""
    monkeypatch.setenv(CLUSTERS, "0")  # what a test starts listens on the loopback alone
    pytest.importorskip("ray")
    return "toy"


@pytest.fixture
def cluster(toy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a cluster that was there before: four cores and two GPUs, which nobody touches."""
    from ray._private.authentication import authentication_token_setup as token
    from ray._raylet import AuthenticationTokenLoader, Config

    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    Config.initialize("")  # reads the environment again
    if not AuthenticationTokenLoader.instance().has_token(ignore_auth_mode=True):
        token.generate_and_save_token()  # as the first cluster that Ray starts does
        AuthenticationTokenLoader.instance().reset_cache()
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    host, _, port = address.partition(":")
    short = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # the path of a socket has at most 107 bytes
    ray = Path(sys.executable).with_name("ray")
    command = [ray, "start", "--head", "--block", "--include-dashboard=false", "--disable-usage-stats"]
    command += [f"--node-ip-address={host}", f"--port={port}", f"--temp-dir={short}"]
    command += ["--num-cpus=4", "--num-gpus=2", "--object-store-memory=100000000"]
    with (tmp_path / "cluster.txt").open("w") as output:
        head = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while "Ray runtime started" not in (tmp_path / "cluster.txt").read_text():
            assert head.poll() is None, (tmp_path / "cluster.txt").read_text()
            assert time.monotonic() < deadline, (tmp_path / "cluster.txt").read_text()
            time.sleep(0.1)
        yield address
    finally:
        below = processes_below(head.pid)
        head.terminate()
        try:
            head.wait(20)
        finally:
            for pid in [head.pid, *below]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            shutil.rmtree(short, ignore_errors=True)


def seen(job: Job) -> dict[str, Any]:
    return dict(json.loads((job.folder.path / "seen.json").read_text()))


@pytest.mark.ray
def test_run_on_an_existing_cluster_has_the_gpus_that_it_asked_for(make_job: MakeJob, cluster: str) -> None:
    def gpus(num_gpus: float, seeds: Sequence[int]) -> list[str]:
        jobs = [make_job(seed, f"together {len(seeds)}") for seed in seeds]
        sweep(jobs, Ray(RayOptions(address=cluster, num_gpus=num_gpus), program="toy"))
        assert [job.status for job in jobs] == ["finished"] * len(jobs)
        return sorted(seen(job)["gpus"] for job in jobs)

    assert gpus(1, [0, 1]) == ["0", "1"]  # side by side, each its own
    assert gpus(0.5, [2, 3, 4, 5]) == ["0", "0", "1", "1"]  # four at a time, two a GPU
    assert gpus(2, [6]) == ["0,1"]
    # it is no sweep's cluster: it is still there after three of them
    jobs = [make_job(7, "finish")]
    sweep(jobs, Ray(RayOptions(address=cluster, num_cpus=3), program="toy"))
    assert seen(jobs[0])["cores"] == "3"


@pytest.mark.ray
def test_cluster_that_does_not_answer_is_told_in_one_line(make_job: MakeJob, toy: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(UserError, match=rf"hydra\.launcher\.address={address}: no Ray cluster answers"):
        sweep([make_job(0, "finish")], Ray(RayOptions(address=address), program=toy))


@pytest.mark.ray
def test_killed_run_costs_only_itself(make_job: MakeJob, toy: str) -> None:
    jobs = [make_job(seed, do) for seed, do in enumerate(["die", "finish", "raise", "finish"])]
    sweep(jobs, Ray(RayOptions(), program=toy))
    assert [job.status for job in jobs] == ["failed", "finished", "failed", "finished"]
    assert jobs[0].remark.startswith("killed by SIGKILL")
    assert jobs[2].remark == "ended without a record: RuntimeError: this run is no good"


@pytest.mark.ray
def test_interrupt_stops_the_runs(make_job: MakeJob, toy: str, once: Callable[..., None]) -> None:
    job = make_job(0, "sleep 60")
    once(lambda: (job.folder.path / "seen.json").exists(), os.kill, os.getpid(), signal.SIGTERM)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        sweep([job], Ray(RayOptions(), program=toy))
    assert job.status == "stopped"
    assert job.folder.state() == "interrupted"
    assert time.monotonic() - began < 30


@pytest.mark.ray
def test_sweep_trains_on_a_cluster_that_it_starts_and_stops(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    overrides = ["debug=true", "seed=0,1", "model.depth=8", "trainer.accelerator=cpu"]
    command = [sys.executable, "-m", "resnet_lab", "train", "-m", "hydra/launcher=ray", *overrides]
    done = subprocess.run([*command, f"runs_root={tmp_path}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 finished" in done.stdout


@pytest.mark.ray
def test_run_that_can_never_fit_is_refused(make_job: MakeJob, toy: str) -> None:
    place = Ray(RayOptions(num_cpus=1000), program=toy)
    with pytest.raises(UserError, match=r"hydra\.launcher\.num_cpus=1000: this machine has"):
        sweep([make_job(0, "finish")], place)
