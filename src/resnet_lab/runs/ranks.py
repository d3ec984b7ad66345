"""A run on several devices of this machine: a process for each, which start and end together.

`torchrun` would load torch in one process more before any of them starts, and does not return what killed one.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from resnet_lab.cores import share_of
from resnet_lab.runs.devices import RANK
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.signals import OURS, PARENT, killed_by

PROGRAM = "resnet_lab.runs"  # python -m PROGRAM RUN_DIR
PATIENCE = 5.0  # seconds that the others get, once one has failed, to say what they have to say

Process = subprocess.Popen[bytes]


def run_ranks(folder: RunFolder, devices: int) -> tuple[int, str]:
    """Train the folder with a process per device; return the exit code of the first that failed, or 0.

    The second value says in one line what killed it, where that was not who stops the run with all its processes.
    """
    processes: list[Process] = []
    try:
        with _passing_signals_to(processes) as received:
            for environment in _environments(devices):
                command = [sys.executable, "-P", "-m", PROGRAM, str(folder.path)]
                processes.append(subprocess.Popen(command, env=environment))
            code, killed = _first_failure(processes)
            return (128 - code, "") if -code in received else (code, killed)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _environments(devices: int) -> Iterator[dict[str, str]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {**os.environ, **share_of(devices), PARENT: str(os.getpid())}
    shared |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(devices)}
    for rank in range(devices):
        yield {**shared, RANK: str(rank), "LOCAL_RANK": str(rank), "NODE_RANK": "0"}


def _first_failure(processes: Sequence[Process]) -> tuple[int, str]:
    """Wait until all have ended, or one has failed and the others had time to tell of it."""
    failed: list[int] = []  # ranks, in the order in which they did; of those seen together the killed one
    deadline = float("inf")
    while any(process.poll() is None for process in processes) and time.monotonic() < deadline:
        time.sleep(0.02)
        new = [r for r, process in enumerate(processes) if process.poll() and r not in failed]
        failed += sorted(new, key=lambda rank: processes[rank].returncode)
        if failed:
            deadline = min(deadline, time.monotonic() + PATIENCE)
    if not failed:
        return 0, ""
    code = processes[failed[0]].returncode
    return code, f"rank {failed[0]} was {killed_by(-code)}" if code < 0 else ""


@contextmanager
def _passing_signals_to(processes: Sequence[Process]) -> Iterator[set[int]]:
    """Pass on what ends a run, but for Ctrl-C, which reaches all processes by itself. Yields what was received."""
    received: set[int] = set()

    def receive(number: int, _: object) -> None:
        received.add(number)
        for process in processes if number != signal.SIGINT else []:
            process.send_signal(number)

    heard = [number for number in OURS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, receive) for number in heard}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
