"""This machine as a place for runs: each is a fresh process on a slot of its own. Free of torch."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from resnet_lab.config.schema import TrainConfig
from resnet_lab.cores import IN_SWEEP, THREAD_VARIABLES, cores
from resnet_lab.errors import UserError
from resnet_lab.runs import gpus
from resnet_lab.runs.devices import RANK_VARIABLES, check
from resnet_lab.runs.parent import GRACE
from resnet_lab.runs.signals import killed_by
from resnet_lab.runs.threads import threads_of
from resnet_lab.sweeps.jobs import Job
from resnet_lab.sweeps.places.server import kill, terminate
from resnet_lab.sweeps.places.slots import Slot, Slots, core_slots, gpu_slots

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
COUNT_DEVICES = "resnet_lab.sweeps.places.devices"


@dataclass
class LocalOptions:
    """The keys of hydra/launcher=local."""

    slots: int | None = None  # runs at a time; None: one a GPU seat, or as many as the cores hold
    gpus_per_run: int | None = None  # None: trainer.devices of the run
    runs_per_gpu: int = 1  # more, for nets too small to fill a GPU
    run_timeout: float | None = None  # seconds that one run may take

    def __post_init__(self) -> None:
        for name in ("slots", "gpus_per_run", "runs_per_gpu", "run_timeout"):
            value = getattr(self, name)
            if isinstance(value, (int, float)) and not value > 0:
                raise UserError(f"hydra.launcher.{name}={value}: more than 0 is needed")


def server_process(preloaded: Sequence[str], environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """The process from which runs are forked, in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "resnet_lab.sweeps.places.server", *preloaded],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        env=environment,
    )


@dataclass
class _Process:
    job: Job
    slot: Slot
    pid: int | None = None  # None until the server has answered
    overdue: float | None = None  # when it was asked to stop, for run_timeout


class Local:
    """Runs on this machine's slots."""

    def __init__(
        self, options: LocalOptions, program: str = PROGRAM, preloaded: Sequence[str] = PRELOADED
    ) -> None:
        self._options = options
        self._program = program
        self._preloaded = preloaded
        self._server: subprocess.Popen[bytes] | None = None
        self._received = b""
        self._processes: dict[str, _Process] = {}
        self._slots = Slots([])
        self._closing = False

    def cores(self, config: TrainConfig) -> int:
        """The cores of a run; UserError when it can never run here."""
        check(config.trainer, config.precision)
        if config.trainer.num_nodes > 1:
            raise UserError(
                f"trainer.num_nodes={config.trainer.num_nodes}: one machine here; use hydra/launcher=slurm"
            )
        seats = gpus.listed() * self._options.runs_per_gpu if config.trainer.accelerator != "cpu" else 0
        if seats:
            return max(1, cores() * config.trainer.devices // seats)
        return max(1, cores() // (self._options.slots or 1))

    def open(self, jobs: Sequence[Job]) -> None:
        """Start the server and divide the machine; UserError when a run asks for more than there is."""
        if len(self._slots) == 0:
            self._divide(jobs)
        for job in jobs:
            self._places(job)

    def _divide(self, jobs: Sequence[Job]) -> None:
        self._start_server()
        wanted = {job.config.trainer.accelerator for job in jobs} != {"cpu"}
        names = gpus.names(self._ask_device_count()) if wanted else []
        if any(job.config.trainer.accelerator == "gpu" for job in jobs) and not names:
            raise UserError("trainer.accelerator=gpu: no GPU is visible here")
        if wanted and not names and (line := gpus.unseen()):
            print(line, flush=True)
        if names:
            self._slots = gpu_slots(names, self._options.runs_per_gpu, self._options.slots)
        else:
            self._slots = core_slots(self._options.slots)

    def start(self, job: Job) -> bool:
        """Begin a run; False while there is no room for it."""
        slot = self._slots.take(self._places(job))
        if slot is None:
            return False
        self._processes[str(job.folder.path)] = _Process(job, slot)
        self._request(str(job.folder.path), self._program, job, slot)
        return True

    def take_back(self, jobs: Sequence[Job]) -> None:
        """A run is asked for as it begins: there is nothing to take back."""

    def ended(self) -> Iterator[tuple[Job, str]]:
        """The runs that ended since the last call, each with what was odd about its end in one line."""
        self._stop_overdue()
        for answer in self._answers(timeout=0.0):
            process = self._processes[answer["name"]]
            if "pid" in answer:
                process.pid = answer["pid"]
                continue
            del self._processes[answer["name"]]
            self._slots.give_back(process.slot)
            yield process.job, self._explain(process, answer["code"])

    def close(self) -> None:
        """Stop the runs that still train, then the server; called again, it waits for none of them."""
        if self._server is None:
            return
        server, hurry, self._closing = self._server, self._closing, True
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.close()  # it stops its children, and ends
        if self._processes and not hurry:
            with suppress(subprocess.TimeoutExpired):
                server.wait(GRACE + 5)
        for answer in list(self._answers(timeout=0.0)):  # its last messages
            if "pid" in answer:
                self._processes[answer["name"]].pid = answer["pid"]
            else:
                self._processes.pop(answer["name"], None)
        for process in self._processes.values():
            if process.pid is not None:
                kill(process.pid)
        server.kill()  # with nothing to stop, it may still be importing
        server.wait()
        server.stdout.close()
        self._processes.clear()
        self._server = None

    def _places(self, job: Job) -> int:
        """How many places a run takes; UserError when there are too few."""
        trainer = job.config.trainer
        if not self._slots.gpu:
            needed = 1 if self._options.slots else trainer.devices * threads_of(job.config)
            return min(needed, len(self._slots))  # what was begun on a larger machine shares its cores
        wanted = self._options.gpus_per_run or trainer.devices
        if trainer.devices > wanted:
            raise UserError(f"trainer.devices={trainer.devices}: hydra.launcher.gpus_per_run is {wanted}")
        if wanted > len(self._slots):
            raise UserError(f"{wanted} GPUs for a run: {len(self._slots)} visible here")
        if wanted > 1 and gpus.are_slices(self._slots.places):
            raise UserError(f"{wanted} MIG slices for a run: a process sees one; set trainer.devices=1")
        return wanted

    def _start_server(self) -> None:
        """Start the server and wait until it is ready: no request is sent before."""
        threads = dict.fromkeys(THREAD_VARIABLES, "1")  # or the libraries start threads, which no fork keeps
        self._received = b""
        without_rank = {key: text for key, text in os.environ.items() if key not in RANK_VARIABLES}
        self._server = server_process(self._preloaded, without_rank | threads)
        ready = False
        while not ready:
            for answer in self._answers(timeout=None):
                if "lacking" in answer:
                    raise MemoryError(answer["lacking"])
                ready |= "ready" in answer
            if self._server is None:
                raise RuntimeError("the process from which runs are forked ended while it started")

    def _request(self, name: str, program: str, job: Job, slot: Slot) -> None:
        environment = {**slot.environment(), IN_SWEEP: "1"}
        if job.config.trainer.accelerator == "cpu":  # a context on a GPU is memory that others miss
            environment[gpus.VISIBLE] = ""
        log = str(job.folder.log_file)
        self._ask(name=name, program=program, arguments=[name], log=log, environment=environment)

    def _ask(self, **request: Any) -> None:
        if self._server is None:
            self._start_server()
        assert self._server is not None
        assert self._server.stdin is not None
        with suppress(BrokenPipeError):  # it was killed: its answers end, which `ended` tells
            self._server.stdin.write(json.dumps(request).encode() + b"\n")
            self._server.stdin.flush()

    def _ask_device_count(self) -> int:
        """The GPUs that PyTorch sees. Raises UserError with what it said where it cannot count them."""
        with tempfile.NamedTemporaryFile() as log:
            self._ask(name="devices", program=COUNT_DEVICES, arguments=[], log=log.name, environment={})
            code = None
            while self._server is not None and code is None:
                code = next((each["code"] for each in self._answers(timeout=None) if "code" in each), None)
            said = log.read().decode(errors="replace").strip().splitlines() or [killed_by(-(code or -9))]
        if code:
            raise UserError(
                f"the GPUs cannot be counted: {said[-1]}; trainer.accelerator=cpu trains without them"
            )
        return int(said[-1])

    def _answers(self, timeout: float | None) -> Iterator[dict[str, Any]]:
        """What the server reported since the last call; when it was killed, the end of all its runs."""
        if self._server is None or self._server.stdout is None:
            return
        if not select.select([self._server.stdout], [], [], timeout)[0]:
            return
        chunk = os.read(self._server.stdout.fileno(), 65536)
        *lines, self._received = (self._received + chunk).split(b"\n")
        yield from map(json.loads, lines)
        if not chunk:
            self._server.kill()
            self._server.wait()
            self._server = None
            for name, process in list(self._processes.items()):
                if process.pid is not None:
                    kill(process.pid)
                yield {"name": name, "code": -signal.SIGKILL}

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
