"""The processes of a run on several devices start and end together, and what killed one of them is told."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from forked import ended, forked
from processes import alive, wait_for
from resnet_lab.config.schema import TrainConfig, TrainerConfig
from resnet_lab.cores import SHARE
from resnet_lab.errors import UserError
from resnet_lab.runs import devices, ranks
from resnet_lab.runs.__main__ import main
from resnet_lab.runs.devices import RANK_VARIABLES, Process, check, forget_ranks, this_process
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder

MakeConfig = Callable[..., TrainConfig]

# Stands in for `python -m resnet_lab.runs`: does what the file `do` tells its rank, and notes how it was started.
TOY = """
import json, os, sys, time
from pathlib import Path
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.record import Cost, Failure, Record, State
from resnet_lab.runs.signals import end_with_named_parent

end_with_named_parent()
folder = RunFolder(sys.argv[1])
rank = os.environ["LOCAL_RANK"]
do = json.loads((folder.path / "do").read_text())[int(rank)]
kept = ("RESNET_LAB_CORES", "MASTER_ADDR", "WORLD_SIZE", "NODE_RANK")
told = {"pid": os.getpid(), **{name: os.environ[name] for name in kept}}
folder.path.joinpath(f"rank{rank}.tmp").write_text(json.dumps(told))
folder.path.joinpath(f"rank{rank}.tmp").rename(folder.path / f"rank{rank}")
if rank == "0":
    folder.lock_file.touch()
if do == "die":
    time.sleep(0.2)
    os.kill(os.getpid(), 9)
elif do in ("fail", "fail later"):
    time.sleep(0.6 if do == "fail later" else 0)
    folder.write_record(Record(error=Failure("other", "Connection closed by peer")))
    sys.exit(1)
elif do == "finish":
    folder.write_record(Record(
        state=State.FINISHED, last={"iteration": 1, "test/error": 1.5}, seed=0, config={"seed": 0},
        cost=Cost(train_seconds=1.0)))
elif do == "hang":
    time.sleep(60)
elif isinstance(do, int):
    sys.exit(do)
"""


@pytest.fixture
def folder(make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    (tmp_path / "rank_toy.py").write_text(TOY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(ranks, "PROGRAM", "rank_toy")
    monkeypatch.setattr(ranks, "PATIENCE", 1.0)
    monkeypatch.setattr(devices, "cores", lambda: 2)
    return RunFolder.create(make_config(trainer=TrainerConfig(accelerator="cpu", devices=2)))


def train_toy(folder: RunFolder) -> None:
    """In a process of its own, which knows nothing of what was patched here."""
    ranks.PROGRAM, devices.cores = "rank_toy", lambda: 2  # type: ignore[assignment]
    execute(folder.path)


def do(folder: RunFolder, *what: Any) -> None:
    (folder.path / "do").write_text(json.dumps(what))


def seen(folder: RunFolder, rank: int) -> dict[str, Any]:
    path = folder.path / f"rank{rank}"
    wait_for(path.exists, 20)
    return dict(json.loads(path.read_text()))


@pytest.fixture(autouse=True)
def nothing_is_left(folder: RunFolder) -> Iterator[None]:
    yield
    for path in folder.path.glob("rank[0-9]"):
        wait_for(lambda path=path: not alive(json.loads(path.read_text())["pid"]), 2)  # type: ignore[misc]


def test_each_device_has_a_process_and_an_equal_share_of_the_cores(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SHARE, "6")
    do(folder, "finish", 0)
    assert execute(folder.path).state == "finished"
    assert [seen(folder, rank)[SHARE] for rank in range(2)] == ["3", "3"]
    assert {seen(folder, rank)["WORLD_SIZE"] for rank in range(2)} == {"2"}


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (("die", "hang"), "rank 0 was killed by SIGKILL, as the kernel does when memory runs out"),
        (("hang", "die"), "rank 1 was killed by SIGKILL, as the kernel does when memory runs out"),
        (("fail", "hang"), "Connection closed by peer"),  # nothing was killed: the record stands
    ],
)
def test_one_process_that_ends_before_its_time_ends_the_others_and_is_the_message(
    what: tuple[str, str], message: str, folder: RunFolder
) -> None:
    do(folder, *what)
    began = time.monotonic()
    assert main([str(folder.path)]) == 1
    assert time.monotonic() - began < 20
    assert folder.record().error.message == message


def test_what_the_first_process_said_of_a_closed_connection_is_replaced_by_what_closed_it(
    folder: RunFolder,
) -> None:
    do(folder, "fail later", "die")
    assert main([str(folder.path)]) == 1
    error = folder.record().error
    assert error.kind == "killed"
    assert error.message == "rank 1 was killed by SIGKILL, as the kernel does when memory runs out"


@pytest.mark.parametrize(("codes", "expected"), [((143, 143), 143), ((129, 129), 129), ((2, 2), 2)])
def test_exit_code_of_a_run_that_was_stopped_is_that_of_its_processes(
    codes: tuple[int, int], expected: int, folder: RunFolder
) -> None:
    do(folder, *codes)
    with pytest.raises(SystemExit) as ending:
        execute(folder.path)
    assert ending.value.code == expected


def test_interrupted_processes_are_an_interrupt(folder: RunFolder) -> None:
    do(folder, 130, 130)
    with pytest.raises(KeyboardInterrupt):
        execute(folder.path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signal_is_passed_on_and_one_that_was_ignored_stays_ignored(number: int, folder: RunFolder) -> None:
    do(folder, "hang", "hang")

    def train() -> None:
        for each in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_DFL if each == number else signal.SIG_IGN)
        train_toy(folder)

    pid = forked(train)
    pids = [seen(folder, rank)["pid"] for rank in range(2)]
    os.kill(pid, signal.SIGHUP if number == signal.SIGTERM else signal.SIGTERM)  # ignored
    time.sleep(0.3)
    assert all(alive(each) for each in pids)
    os.kill(pid, number)
    assert ended(pid) == 128 + number
    assert folder.state() == "interrupted"


def test_processes_of_a_run_end_when_the_one_that_started_them_is_killed(folder: RunFolder) -> None:
    do(folder, "hang", "hang")
    pid = forked(lambda: train_toy(folder))
    pids = [seen(folder, rank)["pid"] for rank in range(2)]
    os.kill(pid, signal.SIGKILL)
    assert ended(pid) == -signal.SIGKILL
    for each in pids:
        wait_for(lambda each=each: not alive(each), 3)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("accelerator", "gpus", "has"),
    [("cpu", 8, "2 CPU cores"), ("auto", 0, "2 CPU cores and 0 GPUs"), ("gpu", 8, "2 CPU cores and 8 GPUs")],
)
def test_more_processes_than_devices_are_refused_in_one_line(
    accelerator: str, gpus: int, has: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "cores", lambda: 2)
    monkeypatch.setattr(devices, "gpus_listed", lambda: gpus)
    monkeypatch.setattr(devices, "gpus_possible", lambda: gpus > 0)
    check(TrainerConfig(accelerator=accelerator, devices=2 if accelerator == "cpu" else max(2, gpus)))
    with pytest.raises(UserError, match=rf"^trainer\.devices=1000: this machine has {has}$"):
        check(TrainerConfig(accelerator=accelerator, devices=1000))


@pytest.mark.parametrize(
    ("choices", "precision", "told"),
    [
        ({}, "16", "precision=16 is for GPUs"),
        ({"accelerator": "cpu", "devices": 2, "sync_batch_norm": True}, "32", "sync_batch_norm needs GPUs"),
        ({"strategy": "fsdp"}, "32", "strategy=fsdp needs GPUs"),
        ({"accelerator": "gpu"}, "32", "no GPU is visible here"),
    ],
)
def test_what_a_cpu_cannot_do_is_refused_before_the_folder_is_made(
    choices: dict[str, Any], precision: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "gpus_possible", lambda: False)
    with pytest.raises(UserError, match=told):
        check(TrainerConfig(**choices), precision=precision)


def test_run_on_several_nodes_that_nobody_started_there_is_refused_with_the_way(
    make_config: MakeConfig,
) -> None:
    trainer = TrainerConfig(accelerator="gpu", devices=1000, num_nodes=2)
    check(trainer)  # says nothing of machines that are not this one
    made = RunFolder.create(make_config(trainer=trainer))
    with pytest.raises(
        UserError, match=r"torchrun --nnodes=2 --nproc-per-node=1000 .* -m resnet_lab\.runs"
    ) as told:
        execute(made.path)
    assert str(made.path) in str(told.value)


def test_rank_that_a_shell_left_over_makes_no_run_of_one_process_another_rank(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in RANK_VARIABLES:
        monkeypatch.setenv(name, "1")
    assert this_process(TrainerConfig()) == Process(0, 1, 1, "nobody")
    forget_ranks()
    assert not set(RANK_VARIABLES) & set(os.environ)


def test_child_of_a_process_that_is_gone_already_ends(tmp_path: Path) -> None:
    """The parent may be killed before the child looks for the first time."""
    program = (
        "import time; from resnet_lab.runs.signals import end_with_named_parent as end; end(); time.sleep(30)"
    )
    environment = {**os.environ, "RESNET_LAB_PARENT": "1000000"}
    child = subprocess.Popen([sys.executable, "-c", program], env=environment)
    assert child.wait(10) == -signal.SIGTERM
