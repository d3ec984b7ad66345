"""A Ray cluster as a place for runs: each is a task, and a process of its own below it. Free of torch.

Without an address a cluster of this machine's cores and GPUs is started on loopback, and stopped again.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from resnet_lab.config.schema import TrainConfig
from resnet_lab.cores import SHARE, cores
from resnet_lab.errors import UserError
from resnet_lab.fields import number
from resnet_lab.runs.ranks import PROGRAM
from resnet_lab.runs.signals import GRACE, PARENT, killed_by
from resnet_lab.sweeps.jobs import Job
from resnet_lab.sweeps.sweep import Place, PlaceOptions

CLUSTERS = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"  # Ray's own switch: "0" keeps a cluster to the loopback


@dataclass
class RayOptions(PlaceOptions):
    """The keys of hydra/launcher=ray."""

    address: str | None = None  # of a cluster, as host:6379 or auto; None: one on this machine alone
    num_cpus: float = number(1.0, least=0)  # cores of a run
    num_gpus: float | None = number(None, least=0)  # a fraction shares a GPU; None: trainer.devices


def execute_folder(run_dir: str, log: str, cores: int, program: str) -> int:
    """Train the folder in a process of its own, and return how that ended."""
    environment = {**os.environ, SHARE: str(cores), PARENT: str(os.getpid())}
    with open(log, "ab") as output:  # noqa: PTH123 (appends, as every start of a run does)
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", program, run_dir],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
        )
    try:
        while process.poll() is None:
            time.sleep(
                0.1
            )  # Ray interrupts a cancelled task between two lines of Python, never within a wait
        return process.returncode
    finally:  # a cancelled task comes here as well
        if process.poll() is None:
            process.terminate()  # it writes a checkpoint
            with suppress(subprocess.TimeoutExpired):
                process.wait(GRACE)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # whatever it started ends with it


class Ray(Place):
    """Runs as Ray's tasks: as many at a time as the cluster holds."""

    def __init__(self, options: RayOptions, program: str = PROGRAM) -> None:
        self._options = options
        self._program = program
        self._ray: Any = None
        self._tasks: dict[Any, Job] = {}
        self._closing = False

    def cores(self, config: TrainConfig) -> int:
        """Return the cores of a run; UserError when no task can hold it, or Ray is not installed."""
        if find_spec("ray") is None:
            raise UserError("hydra/launcher=ray needs the extra: pip install 'resnet-lab[ray]'")
        if config.trainer.num_nodes > 1:
            asked = f"trainer.num_nodes={config.trainer.num_nodes}"
            raise UserError(f"{asked}: a task of Ray has one node; use hydra/launcher=slurm")
        return max(1, int(self._options.num_cpus))

    def open(self, jobs: Sequence[Job]) -> None:
        """Reach or start the cluster; UserError when there is none, or a run can never fit."""
        if self._ray is None:
            self._connect()
        have = self._ray.cluster_resources()
        for job in jobs:
            for name, count in self._resources(job).items():
                if self._options.address is None and count > have.get(name, 0):
                    key = f"hydra.launcher.num_{name.lower()}s={count:g}"
                    raise UserError(f"{key}: this machine has {have.get(name, 0):g}")

    def _connect(self) -> None:
        if self._options.address is None:
            os.environ[CLUSTERS] = "0"  # read on import: this machine's address becomes the loopback's
        import ray

        given: dict[str, object] = {"log_to_driver": False, "logging_level": "error"}
        if self._options.address is None:
            given |= {
                "address": "local",
                "include_dashboard": False,
                "num_cpus": cores(),
                "_node_ip_address": "127.0.0.1",
                "object_store_memory": 100 * 2**20,  # nothing but an exit code travels
            }
        else:
            given["address"] = self._options.address
            self._check_port()
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            ray.init(**given)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise self._no_answer(error) from None
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)  # Ray's own would end the sweep without stopping its runs
        self._ray = ray

    def start(self, job: Job) -> bool:
        """Begin a run; False while the cluster is full of this sweep's runs."""
        wanted = self._resources(job)
        have = self._ray.cluster_resources()
        for name, count in wanted.items():
            taken = sum(self._resources(other)[name] for other in self._tasks.values())
            if self._tasks and taken + count > have.get(name, 0) + 1e-6:
                return False
        path, log = job.folder.path.absolute(), job.folder.log_file.absolute()
        task = self._ray.remote(execute_folder).options(
            num_cpus=wanted["CPU"], num_gpus=wanted["GPU"], max_retries=0, name=job.name
        )
        share = self.cores(job.config)
        self._tasks[task.remote(str(path), str(log), share, self._program)] = job
        return True

    def ended(self) -> Iterator[tuple[Job, str]]:
        if not self._tasks:
            return
        done, _ = self._ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=0)
        for task in done:
            job = self._tasks.pop(task)
            try:
                code = self._ray.get(task)
            except self._ray.exceptions.RayError as error:
                yield job, f"Ray lost the run: {(str(error).splitlines() or [type(error).__name__])[0]}"
                continue
            yield job, killed_by(-code) if code < 0 else ""

    def close(self) -> None:
        """Cancel the tasks that still run, each of which stops its process, then leave the cluster.

        Called again, it waits for none of them: what Ray kills then ends its processes as well.
        """
        if self._ray is None:
            return
        hurry, self._closing = self._closing, True
        for task in self._tasks:
            self._ray.cancel(task, force=hurry)
        if self._tasks and not hurry:
            self._ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=GRACE + 5)
        self._ray.shutdown()  # stops a cluster that `open` started
        self._tasks.clear()
        self._ray = None

    def _check_port(self) -> None:
        """Raise UserError at once where nobody listens; Ray itself would try for a minute."""
        host, _, port = (self._options.address or "").rpartition(":")
        if host and port.isdecimal() and "/" not in host:
            try:
                socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
            except OSError as error:
                raise self._no_answer(error) from None

    def _no_answer(self, error: Exception) -> UserError:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        # Ray gives its token to no address that it was given, unless this variable says so.
        token = "" if "RAY_AUTH_MODE" in os.environ else "; if it asks for a token, set RAY_AUTH_MODE=token"
        address = f"hydra.launcher.address={self._options.address}"
        return UserError(f"{address}: no Ray cluster answers: {said}{token}")

    def _resources(self, job: Job) -> dict[str, float]:
        gpus = self._options.num_gpus
        if gpus is None:
            wanted = job.config.trainer.accelerator != "cpu"
            there = self._ray.cluster_resources().get("GPU", 0)
            gpus = job.config.trainer.devices if wanted and there else 0
        return {"CPU": self._options.num_cpus, "GPU": gpus}
