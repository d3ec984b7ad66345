"""What ends a sweep, once and again, and what stays ignored. The toy sleeps on whatever it is told by a signal."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from processes import processes_below, wait_for
from resnet_lab.sweeps.jobs import Job

MakeJob = Callable[..., Job]

SWEEP = """
import signal, sys
from resnet_lab.runs.folder import RunFolder
from resnet_lab.sweeps.board import Board
from resnet_lab.sweeps.jobs import Job
from resnet_lab.sweeps.places.local import Local, LocalOptions
from resnet_lab.sweeps.sweep import run_sweep

jobs = [Job.of(RunFolder(path).config()) for path in sys.argv[1:]]
try:
    run_sweep(jobs, Local(LocalOptions(slots=2), "stubborn", ["stubborn"]), Board(jobs))
except KeyboardInterrupt:
    print(*(job.status for job in jobs))
    sys.exit(130)
"""
# A run that needs its time to end: it notes SIGTERM, and writes a checkpoint for ever.
STUBBORN = """
import json, os, signal, time
from resnet_lab.runs.folder import RunFolder

def main(arguments):
    folder = RunFolder(arguments[0])
    with folder.lock():
        told = lambda number, _: (folder.path / "told").write_text(str(number))
        if (folder.path / "do").read_text() == "ignore":
            signal.signal(signal.SIGTERM, told)
        temporary = folder.path / "seen.tmp"
        temporary.write_text(json.dumps({"pid": os.getpid()}))
        temporary.rename(folder.path / "seen.json")
        while True:
            time.sleep(60)
"""


@pytest.fixture
def start(
    make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[subprocess.Popen[str], list[Job]]]]:
    """``start("ignore")``: a sweep of two such runs in a process and a session of its own, once both train."""
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    started: list[subprocess.Popen[str]] = []

    def start(do: str, ignored: int | None = None) -> tuple[subprocess.Popen[str], list[Job]]:
        jobs = [make_job(seed, do) for seed in range(2)]
        ignore = f"signal.signal({ignored}, signal.SIG_IGN)\n" if ignored else ""
        program = SWEEP.replace("\njobs", f"\n{ignore}jobs", 1)
        command = [sys.executable, "-c", program, *(str(job.folder.path) for job in jobs)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
        for job in jobs:
            wait_for((job.folder.path / "seen.json").exists, 30)
        return started[-1], jobs

    yield start
    for process in started:
        for pid in processes_below(process.pid) if process.poll() is None else []:
            os.kill(pid, signal.SIGKILL)
        process.kill()
        process.communicate()


def pid_of(job: Job) -> int:
    return int(json.loads((job.folder.path / "seen.json").read_text())["pid"])


def test_second_interrupt_ends_stubborn_runs_at_once_and_a_third_changes_nothing(
    start: Callable[..., tuple[subprocess.Popen[str], list[Job]]], ends: Callable[[int], None]
) -> None:
    sweep, jobs = start("ignore")
    sweep.send_signal(signal.SIGINT)
    for job in jobs:
        wait_for((job.folder.path / "told").exists, 10)  # they were asked
    sweep.send_signal(signal.SIGINT)
    sweep.send_signal(signal.SIGINT)
    output, _ = sweep.communicate(timeout=10)  # well below GRACE
    assert sweep.returncode == 130
    assert "Traceback" not in output
    assert output.splitlines()[-1] == "stopped stopped"
    for job in jobs:
        ends(pid_of(job))


@pytest.mark.parametrize("server_too", [False, True])
def test_runs_end_when_the_sweep_is_killed_and_its_server_with_it(
    server_too: bool,
    start: Callable[..., tuple[subprocess.Popen[str], list[Job]]],
    ends: Callable[[int], None],
) -> None:
    sweep, jobs = start("end")
    [server] = Path(f"/proc/{sweep.pid}/task/{sweep.pid}/children").read_text().split()
    sweep.kill()
    if server_too:
        os.kill(int(server), signal.SIGKILL)
    for job in jobs:
        ends(pid_of(job))
        assert job.folder.state() == "interrupted"
    ends(int(server))


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_signal_that_was_ignored_when_the_sweep_began_stays_ignored_by_it_and_its_runs(
    number: int, start: Callable[..., tuple[subprocess.Popen[str], list[Job]]]
) -> None:
    sweep, jobs = start("end", number)
    for pid in (sweep.pid, *map(pid_of, jobs)):
        assert number in ignored_by(pid)
    assert ignored_by(pid_of(jobs[0])) - ignored_by(os.getpid()) <= {number}


def ignored_by(pid: int) -> set[int]:
    """The signals that a process ignores, as Linux tells."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [mask] = [int(line.split()[1], 16) for line in lines if line.startswith("SigIgn")]
    return {number for number in signal.valid_signals() if mask >> (number - 1) & 1}
