"""Runs as jobs of a real SLURM: a controller and two nodes on loopback."""

import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from resnet_lab.errors import UserError
from resnet_lab.runs.folder import RunFolder
from resnet_lab.sweeps.jobs import Job
from resnet_lab.sweeps.slurm import Slurm, SlurmOptions

spec = importlib.util.spec_from_file_location("slurm_cluster", Path(__file__).with_name("slurm_cluster.py"))
assert spec is not None
assert spec.loader is not None
slurm_cluster = importlib.util.module_from_spec(spec)
spec.loader.exec_module(slurm_cluster)

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
        yield


def start(runs: Path, *overrides: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "resnet_lab.cli", "train", "-m", *OPTIONS, *TINY, *overrides]
    return subprocess.Popen(
        [*command, f"runs_root={runs}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process: "subprocess.Popen[str]") -> str:
    output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output
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
    return [RunFolder(path.parent) for path in sorted(runs.glob("*/*/config.yaml"))]


def ticket(folder: RunFolder) -> str:
    return str(json.loads((folder.path / "slurm.json").read_text())["job"])


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
    wait_for(lambda: list(tmp_path.glob("*/*/slurm.json")))
    first.terminate()  # the job outlives the sweep
    assert "stay with SLURM" in first.communicate(timeout=60)[0]
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
    [log] = (tmp_path / folder.path.parent.name / "slurm").glob("*_1_log.err")
    assert log.exists()  # a second process wrote one


@pytest.mark.slurm
@pytest.mark.parametrize("how", ["requeue", "signal"])
def test_run_that_is_queued_again_ends_with_the_same_weights(slurm: None, tmp_path: Path, how: str) -> None:
    length = ["recipe.epochs=12", "data.train_images=512"]
    finish(start(tmp_path / "calm", *length))
    disturbed = start(tmp_path / "disturbed", *length)
    wait_for(lambda: list((tmp_path / "disturbed").glob("*/*/checkpoints/*.ckpt")))
    [folder] = folders(tmp_path / "disturbed")
    assert folder.record() is None, "too quick to be disturbed"
    if how == "requeue":
        subprocess.run(["scontrol", "requeue", ticket(folder)], check=True)
    else:  # what SLURM sends before a time limit and a preemption: the run queues itself again
        subprocess.run(["scancel", "--signal=USR2", ticket(folder)], check=True)
    finish(disturbed)
    assert json.loads(folder.lock_file.read_text())["attempt"] == 2
    [calm] = folders(tmp_path / "calm")
    assert folder.weights_file.read_bytes() == calm.weights_file.read_bytes()


def test_machine_without_slurm_is_told_in_one_line(
    make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match=r"this machine has no sbatch.*hydra/launcher=local"):
        Slurm(SlurmOptions()).open([make_job(0, "finish")])


@pytest.mark.parametrize("option", ["timeout_min", "cpus_per_task", "array_parallelism"])
def test_an_option_below_one_is_refused(option: str) -> None:
    with pytest.raises(UserError, match=f"hydra.launcher.{option}=0"):
        SlurmOptions(**{option: 0})  # type: ignore[arg-type]
