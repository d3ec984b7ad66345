"""Jobs whose program is a few lines that finish, fail, hang or die as a file in the folder tells."""

import os
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from processes import alive, processes_below, wait_for
from resnet_lab.config.schema import TrainConfig, TrainerConfig
from resnet_lab.data.spec import SmallImagesConfig
from resnet_lab.models.description import ModelConfig
from resnet_lab.sweeps.jobs import Job
from resnet_lab.sweeps.places.local import Local, LocalOptions
from resnet_lab.training.recipes import RecipeConfig

TOY = """
import json, os, subprocess, sys, time
from pathlib import Path
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.record import Cost, Failure, Record, State

def main(arguments):
    folder = RunFolder(arguments[0])
    with folder.lock():
        do = (folder.path / "do").read_text().split()
        print("doing", *do, flush=True)
        (folder.path / "seen.json").write_text(json.dumps({
            "pid": os.getpid(), "group": os.getpgrp(), "cores": os.environ.get("RESNET_LAB_CORES"),
            "gpus": os.environ.get("CUDA_VISIBLE_DEVICES"), "began": time.time()}))
        if do[0] == "raise":
            raise RuntimeError("this run is no good")
        if do[0] == "fail":
            folder.write_record(Record(error=Failure("nonfinite_loss", "the loss is nan at iteration 7")))
            return 1
        if do[0] == "child":
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
            (folder.path / "child").write_text(str(child.pid))
        if do[0] == "die":
            os.kill(os.getpid(), 9)
        if do[0] == "together":  # with so many that do the same
            begun = folder.path.parent.glob
            while sum(each.with_name("do").read_text().split() == do for each in begun("*/seen.json")) < int(do[1]):
                time.sleep(0.05)
        elif len(do) > 1:
            time.sleep(float(do[1]))
        ended = Record(state=State.FINISHED, last={"iteration": 1, "test/error": 1.5}, seed=0)
        ended.config, ended.cost = {"seed": 0}, Cost(train_seconds=time.time())
        folder.write_record(ended)
        return 0

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""

MakeJob = Callable[..., Job]


@pytest.fixture
def make_config(tmp_path: Path) -> Callable[..., TrainConfig]:
    def make(seed: int = 0, devices: int = 1, **more: Any) -> TrainConfig:
        return TrainConfig(
            data=SmallImagesConfig(name="digits"),
            model=ModelConfig(depth=8).resolved(),
            recipe=RecipeConfig(name="digits", epochs=3),
            trainer=TrainerConfig(accelerator="cpu", devices=devices),
            seed=seed,
            runs_root=str(tmp_path / "runs"),
            **more,
        )

    return make


@pytest.fixture
def make_job(make_config: Callable[..., TrainConfig]) -> MakeJob:
    """``make_job(0, "raise")``: the job of seed 0, which will raise when it runs."""

    def make(seed: int, do: str, devices: int = 1) -> Job:
        job = Job.of(make_config(seed, devices))
        (job.folder.path / "do").write_text(do)
        return job

    return make


@pytest.fixture
def make_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Local]]:
    """A Local whose program is the toy, and that must have left no process behind."""
    (tmp_path / "toy.py").write_text(textwrap.dedent(TOY))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    before = set(processes_below())
    yield lambda **options: Local(LocalOptions(**options), program="toy", preloaded=["toy"])
    wait_for(lambda: before.issuperset(processes_below()), 2)


@pytest.fixture
def once() -> Iterator[Callable[..., None]]:
    """``once(condition, action, *arguments)``: act in a thread as soon as the condition holds."""
    threads: list[threading.Thread] = []

    def watch(condition: Callable[[], Any], action: Callable[..., None], *arguments: Any) -> None:
        def target() -> None:
            wait_for(condition, 20)
            action(*arguments)

        threads.append(threading.Thread(target=target))
        threads[-1].start()

    yield watch
    for thread in threads:
        thread.join()


@pytest.fixture
def ends() -> Callable[[int], None]:
    """Fails unless the process has ended within two seconds."""
    return lambda pid: wait_for(lambda: not alive(pid), 2)
