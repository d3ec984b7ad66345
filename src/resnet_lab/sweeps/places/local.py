"""This machine as a place for runs: each is a fresh process on a slot of its own. Free of torch."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from resnet_lab.config.schema import TrainConfig
from resnet_lab.cores import IN_SWEEP, SHARE, THREAD_VARIABLES, cores
from resnet_lab.errors import UserError
from resnet_lab.fields import number
from resnet_lab.runs import devices
from resnet_lab.runs.devices import RANK_VARIABLES, check
from resnet_lab.runs.folder import threads_of
from resnet_lab.runs.signals import GRACE, killed_by
from resnet_lab.sweeps.jobs import Job
from resnet_lab.sweeps.places.server import kill, terminate
from resnet_lab.sweeps.sweep import Place, PlaceOptions

PROGRAM = "resnet_lab.runs.__main__"
# What a run would otherwise import itself; of scikit-learn, the digits and their split.
PRELOADED = (
    "torch",
    "torchvision",
    "torchmetrics",
    "lightning",
    "sklearn.datasets",
    "sklearn.model_selection",
    "resnet_lab.runs.train",
)
COUNT_DEVICES = "resnet_lab.sweeps.places.server"


@dataclass
class LocalOptions(PlaceOptions):
    """The keys of hydra/launcher=local."""

    slots: int | None = number(
        None, least=1
    )  # runs at a time; None: one a GPU seat, or as many as the cores hold
    gpus_per_run: int | None = number(None, least=1)  # None: trainer.devices of the run
    runs_per_gpu: int = number(1, least=1)  # more, for nets too small to fill a GPU
    run_timeout: float | None = number(None, above=0)  # seconds that one run may take


def server_process(
    preloaded: Sequence[str], environment: Mapping[str, str]
) -> "tuple[subprocess.Popen[bytes], Connection[Any, Any]]":
    """Start the process from which runs are forked, in a session of its own, and return the connection to it."""
    ours, theirs = Pipe()
    with theirs:
        command = [
            sys.executable,
            "-P",
            "-m",
            "resnet_lab.sweeps.places.server",
            str(theirs.fileno()),
            *preloaded,
        ]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
            env=environment,
        )
    return process, ours


class Slots:
    """Places with one or more seats each: GPUs, or equal shares of the cores. A run takes seats on so many places."""

    def __init__(
        self, places: Sequence[str], *, seats: int = 1, limit: int | None = None, gpu: bool = False
    ) -> None:
        """`limit`: the most runs at a time; None: as many as there are seats."""
        self.gpu = gpu
        self.places = list(places)
        self.cores = max(1, cores() // (len(places) * seats or 1))  # of each seat
        self._free = dict.fromkeys(places, seats)
        self._left = limit or len(places) * seats

    def take(self, count: int) -> tuple[str, ...] | None:
        """Return this many places, the emptiest first; None when there is no room now."""
        free = sorted((place for place in self.places if self._free[place]), key=lambda p: -self._free[p])
        if len(free) < count or not self._left:
            return None
        for place in free[:count]:
            self._free[place] -= 1
        self._left -= 1
        return tuple(free[:count])

    def give_back(self, taken: Sequence[str]) -> None:
        for place in taken:
            self._free[place] += 1
        self._left += 1

    def environment(self, taken: Sequence[str]) -> dict[str, str]:
        """Return what must be set before a run with these places touches a device."""
        visible = ",".join(taken) if self.gpu else ""
        return {SHARE: str(self.cores * len(taken)), devices.VISIBLE: visible}


@dataclass
class _Process:
    job: Job
    places: tuple[str, ...]
    pid: int | None = None  # None until the server has answered
    overdue: float | None = None  # when it was asked to stop, for run_timeout


class Local(Place):
    """Runs on this machine's slots."""

    def __init__(
        self, options: LocalOptions, program: str = PROGRAM, preloaded: Sequence[str] = PRELOADED
    ) -> None:
        self._options = options
        self._program = program
        self._preloaded = preloaded
        self._server: subprocess.Popen[bytes] | None = None
        self._processes: dict[str, _Process] = {}  # by run folder
        self._slots: Slots | None = None
        self._closing = False

    def cores(self, config: TrainConfig) -> int:
        check(config.trainer, config.precision)
        if config.trainer.num_nodes > 1:
            raise UserError(
                f"trainer.num_nodes={config.trainer.num_nodes}: one machine here; use hydra/launcher=slurm"
            )
        seats = (
            devices.gpus_listed() * self._options.runs_per_gpu if config.trainer.accelerator != "cpu" else 0
        )
        if seats:
            return max(1, cores() * config.trainer.devices // seats)
        return max(1, cores() // (self._options.slots or 1))

    def open(self, jobs: Sequence[Job]) -> None:
        """Start the server and divide the machine; UserError when a run asks for more than there is."""
        if self._slots is None:
            self._start_server()
            self._slots = self._divided(jobs)
        for job in jobs:
            self._places(job, self._slots)

    def _divided(self, jobs: Sequence[Job]) -> Slots:
        wanted = {job.config.trainer.accelerator for job in jobs} != {"cpu"}
        names = devices.gpu_names(self._ask_device_count()) if wanted else []
        if names:
            return Slots(names, seats=self._options.runs_per_gpu, limit=self._options.slots, gpu=True)
        if any(job.config.trainer.accelerator == "gpu" for job in jobs):
            raise UserError("trainer.accelerator=gpu: no GPU is visible here")
        if wanted and (line := devices.unseen_gpus()):
            print(line, flush=True)
        return Slots([str(share) for share in range(self._options.slots or cores())])

    def start(self, job: Job) -> bool:
        assert self._slots is not None
        places = self._slots.take(self._places(job, self._slots))
        if places is None:
            return False
        name = str(job.folder.path)
        self._processes[name] = _Process(job, places)
        environment = {**self._slots.environment(places), IN_SWEEP: "1"}
        if job.config.trainer.accelerator == "cpu":  # a context on a GPU is memory that others miss
            environment[devices.VISIBLE] = ""
        self._ask(name, self._program, [name], str(job.folder.log_file), environment)
        return True

    def ended(self) -> Iterator[tuple[Job, str]]:
        assert self._slots is not None
        self._stop_overdue()
        for answer in self._answers():
            process = self._processes[answer["name"]]
            if "pid" in answer:
                process.pid = answer["pid"]
                continue
            del self._processes[answer["name"]]
            self._slots.give_back(process.places)
            yield process.job, self._explain(process, answer["code"])

    def close(self) -> None:
        """Stop the runs that still train, then the server; called again, it waits for none of them."""
        if self._server is None:
            return
        hurry, self._closing = self._closing, True
        with suppress(OSError):
            self._connection.send(None)  # the server stops its children, and ends
        try:  # with nothing to stop, it may still be importing
            self._server.wait(GRACE + 5 if self._processes and not hurry else 0)
        except subprocess.TimeoutExpired:
            self._kill_all()
        self._connection.close()
        self._processes.clear()
        self._server = None

    def _kill_all(self) -> None:
        """Kill the server, then the runs that it had not seen end."""
        assert self._server is not None
        self._server.kill()
        self._server.wait()
        with suppress(EOFError, ConnectionResetError):
            while True:
                answer = self._connection.recv()
                if "pid" in answer:
                    self._processes[answer["name"]].pid = answer["pid"]
                elif "code" in answer:
                    del self._processes[answer["name"]]
        for process in self._processes.values():
            if process.pid is not None:
                kill(process.pid)

    def _places(self, job: Job, slots: Slots) -> int:
        """Return how many places a run takes; UserError when there are too few."""
        trainer, there = job.config.trainer, len(slots.places)
        if not slots.gpu:
            needed = 1 if self._options.slots else trainer.devices * threads_of(job.config)
            return min(needed, there)  # what was begun on a larger machine shares its cores
        wanted = self._options.gpus_per_run or trainer.devices
        if trainer.devices > wanted:
            raise UserError(f"trainer.devices={trainer.devices}: hydra.launcher.gpus_per_run is {wanted}")
        if wanted > there:
            raise UserError(f"{wanted} GPUs for a run: {there} visible here")
        if wanted > 1 and devices.are_slices(slots.places):
            raise UserError(f"{wanted} MIG slices for a run: a process sees one; set trainer.devices=1")
        return wanted

    def _start_server(self) -> None:
        """Start the server and wait until it is ready: no request is sent before."""
        threads = dict.fromkeys(THREAD_VARIABLES, "1")  # or the libraries start threads, which no fork keeps
        without_rank = {key: text for key, text in os.environ.items() if key not in RANK_VARIABLES}
        self._server, self._connection = server_process(self._preloaded, without_rank | threads)
        for answer in self._answers(None):
            if "lacking" in answer:
                raise MemoryError(answer["lacking"])
            if "ready" in answer:
                return
        raise RuntimeError("the process from which runs are forked ended while it started")

    def _ask(
        self, name: str, program: str, arguments: Sequence[str], log: str, environment: Mapping[str, str]
    ) -> None:
        if self._server is None:
            self._start_server()
        request = {"name": name, "program": program, "arguments": arguments, "log": log}
        with suppress(OSError):  # it was killed: its answers end, which `ended` tells
            self._connection.send({**request, "environment": environment})

    def _ask_device_count(self) -> int:
        """Return the number of GPUs that PyTorch sees. Raises UserError with what it said where it cannot."""
        with tempfile.NamedTemporaryFile() as log:
            self._ask("devices", COUNT_DEVICES, [], log.name, {})
            code = next((each["code"] for each in self._answers(None) if "code" in each), -signal.SIGKILL)
            said = log.read().decode(errors="replace").strip().splitlines() or [killed_by(-code)]
        if code:
            raise UserError(
                f"the GPUs cannot be counted: {said[-1]}; trainer.accelerator=cpu trains without them"
            )
        return int(said[-1])

    def _answers(self, timeout: float | None = 0) -> Iterator[dict[str, Any]]:
        """Yield what the server reports, and the end of all its runs when it was killed."""
        while self._server is not None and self._connection.poll(timeout):
            try:
                yield self._connection.recv()
            except (EOFError, ConnectionResetError):
                self._kill_all()
                self._server = None
                yield from [{"name": name, "code": -signal.SIGKILL} for name in self._processes]

    def _stop_overdue(self) -> None:
        limit = self._options.run_timeout
        now = time.monotonic()
        for process in self._processes.values():
            if limit is None or process.pid is None or now < process.job.began + limit:
                continue
            if process.overdue is None:
                process.overdue = now
                terminate(process.pid)
            elif now > process.overdue + GRACE:
                kill(process.pid)

    def _explain(self, process: _Process, code: int) -> str:
        if process.overdue is not None:
            return f"stopped after run_timeout={self._options.run_timeout:g} seconds"
        return killed_by(-code) if code < 0 else ""
