"""Runs as jobs of a real SLURM: a controller and two nodes on loopback."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import slurm_cluster
from resnet_lab.errors import UserError
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.lock import holder
from resnet_lab.sweeps.jobs import Job
from resnet_lab.sweeps.places.slurm import Slurm, SlurmOptions

OPTIONS = ["hydra/launcher=slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.poll_seconds=1"]
TINY = ["model.depth=8", "trainer.accelerator=cpu", "trainer.progress=false"]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    if reason := slurm_cluster.why_not():
        pytest.skip(reason)
    with (
        slurm_cluster.cluster(tmp_path_factory.mktemp("slurm")) as environment,
        pytest.MonkeyPatch.context() as patch,
    ):
        for key, value in environment.items():
            patch.setenv(key, value)
        helpers = Path(slurm_cluster.__file__).parent  # with the gate
        patch.setenv("PYTHONPATH", str(helpers), prepend=os.pathsep)
        yield


def start(runs: Path, *overrides: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "resnet_lab", "train", "-m", *OPTIONS, *TINY, *overrides]
    return subprocess.Popen(
        [*command, f"runs_root={runs}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process: "subprocess.Popen[str]") -> str:
    output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output
    return output


def refused(process: "subprocess.Popen[str]") -> str:
    """The one line that tells why nothing was submitted."""
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 2, output
    assert "Traceback" not in output
    return next(line for line in output.splitlines() if line.startswith("resnet-lab:"))


def failed(process: "subprocess.Popen[str]") -> str:
    output, _ = process.communicate(timeout=400)
    assert process.returncode == 1, output
    return output


def queued() -> list[str]:
    command = ["squeue", "--me", "--noheader", "--array", "--format=%i"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def wait_for(condition: Callable[[], Any], seconds: float = 120) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
    return value


def folders(runs: Path) -> list[RunFolder]:
    return [RunFolder(path.parent) for path in sorted(runs.rglob("config.yaml"))]


def ticket(folder: RunFolder) -> str:
    return str(json.loads((folder.path / "slurm.json").read_text())["job"])


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file from which a `squeue` that stands in for SLURM's reads its answer; it fails without the file."""
    told = tmp_path / "queue"
    squeue = tmp_path / "bin" / "squeue"
    squeue.parent.mkdir()
    squeue.write_text(f"#!/bin/sh\nexec cat {told}\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", str(squeue.parent), prepend=os.pathsep)
    return told


def test_run_that_ended_is_noticed_while_another_waits_in_the_queue(
    queue: Path, make_job: Callable[..., Job]
) -> None:
    jobs = [make_job(seed, "finish") for seed in (0, 1)]
    for job, number in zip(jobs, ("7_0", "7_1"), strict=True):
        (job.folder.path / "slurm.json").write_text(json.dumps({"job": number}))
    queue.write_text("7_0 RUNNING\n7_1 PENDING\n")
    place = Slurm(SlurmOptions(poll_seconds=0.01))
    place.open(jobs)
    assert place.start(jobs[0])
    queue.write_text("7_1 PENDING\n")
    ended: list[Job] = []
    for _ in range(5):
        time.sleep(0.02)
        assert not place.start(jobs[1])
        ended += [job for job, _ in place.ended()]
    assert ended == jobs[:1]


def test_nothing_is_submitted_while_squeue_does_not_say_what_is_queued(
    queue: Path, make_job: Callable[..., Job]
) -> None:
    assert not queue.exists()
    with pytest.raises(UserError, match="nothing was submitted"):
        Slurm(SlurmOptions(poll_seconds=0.01)).open([make_job(0, "finish")])


@pytest.mark.slurm
def test_each_run_of_a_sweep_is_a_job(slurm: None, tmp_path: Path) -> None:
    output = finish(start(tmp_path, "debug=true", "seed=0,1"))
    assert "2 finished" in output
    assert [folder.state() for folder in folders(tmp_path)] == ["finished"] * 2
    assert len({ticket(folder) for folder in folders(tmp_path)}) == 2
    assert "2 already there" in finish(start(tmp_path, "debug=true", "seed=0,1"))


@pytest.mark.slurm
def test_same_command_follows_the_jobs_that_are_queued(slurm: None, tmp_path: Path) -> None:
    held = "+hydra.launcher.additional_parameters.hold=true"
    first = start(tmp_path, "debug=true", held)
    wait_for(lambda: list(tmp_path.rglob("slurm.json")))
    first.terminate()
    assert "1 jobs stay with SLURM" in first.communicate(timeout=60)[0]
    before = queued()
    assert len(before) == 1
    second = start(tmp_path, "debug=true", held)
    time.sleep(8)
    assert queued() == before
    subprocess.run(["scontrol", "release", *before], check=True)
    finish(second)
    assert [ticket(folder) for folder in folders(tmp_path)] == before


@pytest.mark.slurm
def test_two_nodes_train_one_run(slurm: None, tmp_path: Path) -> None:
    finish(start(tmp_path, "debug=true", "trainer.num_nodes=2"))
    [folder] = folders(tmp_path)
    assert folder.state() == "finished"
    assert len(list((folder.path.parent / "slurm").glob("*_1_log.err"))) == 1  # a second process wrote one


def attempts(folder: RunFolder) -> int:
    return int(holder(folder.lock_file).get("attempt", 0))


# 16 iterations, with a checkpoint after every second one.
GATED = [
    "recipe.epochs=4",
    "data.train_images=128",
    "recipe.batch_size=32",
    "callbacks.checkpoint.every_iterations=2",
]


@pytest.fixture(scope="module")
def calm(slurm: None, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The same run, undisturbed."""
    runs = tmp_path_factory.mktemp("calm")
    finish(start(runs, *GATED))
    [folder] = folders(runs)
    return folder


def disturbable(runs: Path, *overrides: str) -> tuple["subprocess.Popen[str]", RunFolder]:
    """A sweep of one run, held after a checkpoint, and its folder; each process of it is held until `opened`."""
    gate = f"callbacks.extra.gate={{_target_: gate.Gate, folder: {runs}, step: 4, identity: false}}"
    sweep = start(runs, *GATED, gate, *overrides)
    held(runs)
    [folder] = folders(runs)
    assert list(folder.checkpoints.glob("0*.ckpt"))
    return sweep, folder


def held(runs: Path) -> None:
    """Wait until a process stands at the gate; SLURM takes about two minutes to begin a run again."""
    wait_for((runs / "held").exists, 300)
    (runs / "held").unlink()


def opened(runs: Path) -> None:
    (runs / "open").touch()


@pytest.mark.slurm
@pytest.mark.parametrize("how", ["requeue", "signal"])
def test_run_that_is_queued_again_ends_with_the_same_weights(
    calm: RunFolder, tmp_path: Path, how: str
) -> None:
    sweep, folder = disturbable(tmp_path)
    if how == "requeue":
        subprocess.run(["scontrol", "requeue", ticket(folder)], check=True)
    else:  # what SLURM sends before a time limit and a preemption: the run queues itself again
        subprocess.run(["scancel", "--signal=USR2", ticket(folder)], check=True)
    held(tmp_path)
    opened(tmp_path)
    finish(sweep)
    assert attempts(folder) == 2
    assert folder.weights_file.read_bytes() == calm.weights_file.read_bytes()


@pytest.mark.slurm
def test_cancelled_run_costs_only_itself_and_goes_on_with_the_same_command(
    calm: RunFolder, tmp_path: Path
) -> None:
    sweep, folder = disturbable(tmp_path)
    job = ticket(folder)
    subprocess.run(["scancel", job], check=True)
    assert f"SLURM job {job} is CANCELLED" in failed(sweep)
    finish(start(tmp_path, *GATED))
    assert ticket(folder) != job
    assert folder.weights_file.read_bytes() == calm.weights_file.read_bytes()


@pytest.mark.slurm
def test_run_is_queued_again_after_a_time_limit_as_often_as_asked(slurm: None, tmp_path: Path) -> None:
    # submitit counts each signal as a time limit when the limit is within ten minutes
    sweep, folder = disturbable(tmp_path, "hydra.launcher.timeout_min=10", "hydra.launcher.max_num_timeout=1")
    for attempt in (1, 2):
        if attempt == 2:
            held(tmp_path)
        assert attempts(folder) == attempt
        subprocess.run(["scancel", "--signal=USR2", ticket(folder)], check=True)
    assert "timed-out too many times" in failed(sweep)


@pytest.mark.slurm
def test_what_sbatch_refuses_is_told_in_one_line(slurm: None, tmp_path: Path) -> None:
    line = refused(start(tmp_path, "debug=true", "hydra.launcher.partition=nowhere"))
    assert "sbatch refused" in line
    assert "nvalid partition" in line
    assert queued() == []


@pytest.mark.slurm
def test_run_is_given_its_gpus_and_trains_on_no_cpu_in_their_place(slurm: None, tmp_path: Path) -> None:
    """The GPUs of this SLURM are null devices, which PyTorch sees as little as those of too old a driver."""
    failed(start(tmp_path, "debug=true", "trainer.accelerator=auto", "trainer.devices=2"))
    [folder] = folders(tmp_path)
    command = ["scontrol", "show", "job", ticket(folder)]
    asked = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "gpu:2" in asked
    assert "NumTasks=2" in asked
    error = folder.record().error
    assert error.kind == "user_error"
    assert "2 GPUs are here and PyTorch sees none" in error.message  # whichever task saw it first


@pytest.mark.parametrize(
    ("accelerator", "devices", "option", "asked"),
    [
        ("auto", 2, None, 2),  # or a cluster of GPUs would train on its CPUs without a word
        ("gpu", 1, None, 1),
        ("cpu", 2, None, None),
        ("auto", 2, 4, 4),
        ("auto", 2, 0, None),  # as it was asked for
    ],
)
def test_job_asks_for_the_gpus_of_its_run(
    accelerator: str, devices: int, option: int | None, asked: int | None, make_job: Callable[..., Job]
) -> None:
    job = make_job(0, "finish")
    trainer = replace(job.config.trainer, accelerator=accelerator, devices=devices)
    job.config = replace(job.config, trainer=trainer)
    resources = Slurm(SlurmOptions(gpus_per_node=option)).resources(job)
    assert resources.get("gpus_per_node") == asked
    assert resources["ntasks_per_node"] == devices


@pytest.mark.parametrize(
    ("devices", "option", "told"),
    [
        (2, 1, "trainer.devices=2: hydra.launcher.gpus_per_node is 1"),
        (-1, None, "trainer.devices=-1: SLURM must"),
    ],
)
def test_job_with_fewer_gpus_than_processes_is_refused(
    devices: int, option: int | None, told: str, make_job: Callable[..., Job]
) -> None:
    job = make_job(0, "finish")
    job.config = replace(job.config, trainer=replace(job.config.trainer, accelerator="auto", devices=devices))
    with pytest.raises(UserError, match=told):
        Slurm(SlurmOptions(gpus_per_node=option)).resources(job)
