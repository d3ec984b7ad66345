"""A SLURM cluster as a place for runs: each is a job of its own, which SLURM may stop and start again.

A job trains its folder under `srun`, one process a device. What SLURM tells it before a time limit or a
preemption makes it write a checkpoint and queue itself again; the folder knows the rest. Jobs outlive the
sweep that submitted them: the same command finds them in the queue and follows them. Free of torch.
"""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from resnet_lab.config.schema import ALL, TrainConfig
from resnet_lab.cores import SHARE
from resnet_lab.errors import UserError
from resnet_lab.fields import number
from resnet_lab.files import write_text
from resnet_lab.sweeps.jobs import Job
from resnet_lab.sweeps.sweep import Place, PlaceOptions

TICKET = "slurm.json"  # in a run folder: the job that was submitted for it last
JOB_NAME = "resnet-lab"
ASKED = 3  # how often squeue may fail to answer before anything is submitted
SETUP = [
    "export PYTHONSAFEPATH=1",  # no queue.py of the working folder is taken for the standard library's
    # srun of SLURM 22.05 and later forgets the cores of a task, and libraries start a thread a core.
    "export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}",
    "export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}",
    f"export {SHARE}=${{SLURM_CPUS_PER_TASK:-1}}",
]


@dataclass
class SlurmOptions(PlaceOptions):
    """The keys of hydra/launcher=slurm."""

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    timeout_min: int = number(240, least=1)  # of one stretch: a run that needs longer is queued again
    max_num_timeout: int = number(20, least=0)  # how often it is; preemptions count in short stretches
    signal_delay_s: int = number(
        120, least=1
    )  # so long before the limit SLURM tells a run to write a checkpoint
    cpus_per_task: int = number(4, least=1)  # of each process
    mem_gb: float | None = None  # of each node
    gpus_per_node: int | None = None  # None: trainer.devices, or none with trainer.accelerator=cpu
    array_parallelism: int = number(256, least=1)  # jobs of a sweep at a time
    additional_parameters: dict[str, Any] = field(default_factory=dict)  # any option of sbatch
    setup: list[str] = field(default_factory=list)  # shell lines before srun, as `module load cuda`
    poll_seconds: float = number(5.0, above=0)  # between two looks at the queue

    def __post_init__(self) -> None:
        if self.signal_delay_s >= 60 * self.timeout_min:
            limit = f"hydra.launcher.timeout_min={self.timeout_min}"
            raise UserError(f"hydra.launcher.signal_delay_s={self.signal_delay_s}: not within {limit}")


class Execute:
    """What a job does: `python -m resnet_lab.runs RUN_DIR`, in the process that gets SLURM's signals."""

    def __init__(self, run_dir: str) -> None:
        self.run_dir = run_dir

    def __call__(self) -> None:
        from resnet_lab.runs.__main__ import main

        if code := main([self.run_dir]):
            raise SystemExit(code)  # SLURM shows the job as failed

    def checkpoint(self) -> Any:
        """Return what to queue again: the same, which goes on from the last checkpoint in the folder."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


class Slurm(Place):
    """Runs as jobs of SLURM. Closing it leaves them in the queue: they belong to the cluster."""

    def __init__(self, options: SlurmOptions) -> None:
        self._options = options
        self._ids: dict[Job, str] = {}
        self._started: set[Job] = set()
        self._queue: dict[str, str] = {}  # state by job id, as far as squeue reported it
        self._absent: dict[Job, int] = {}  # how many looks in a row did not find a job
        self._looked = 0.0
        self._looks = self._counted = 0  # answers of squeue, and up to which of them `ended` has counted

    def cores(self, config: TrainConfig) -> int:
        """Return the cores of a run on each of its nodes; UserError without SLURM."""
        if shutil.which("sbatch") is None:
            raise UserError(
                "hydra/launcher=slurm: this machine has no sbatch; start it on a login node of the cluster,"
                " or use hydra/launcher=local"
            )
        return self._options.cpus_per_task * config.trainer.devices

    def open(self, jobs: Sequence[Job]) -> None:
        """Submit what is not in the queue yet; UserError when SLURM refuses, or does not say what is queued."""
        resources = {job: self.resources(job) for job in jobs}
        for _ in range(ASKED):
            if self._look():
                break
            time.sleep(self._options.poll_seconds)
        else:
            raise UserError(
                f"squeue did not answer {ASKED} times, so nothing was submitted: a job may be queued already;"
                " run the same command again later"
            )
        new: dict[tuple[tuple[str, int], ...], list[Job]] = {}
        for job in jobs:
            if (queued := _ticket(job)) in self._queue:
                self._ids[job] = queued
            else:
                new.setdefault(tuple(resources[job].items()), []).append(job)
        for asked, alike in new.items():
            self._submit(alike, dict(asked))
        self._look()

    def start(self, job: Job) -> bool:
        """Return whether SLURM has begun the run."""
        self._look_when_due()
        if self._queue.get(self._ids[job]) == "PENDING":
            return False
        self._started.add(job)
        return True

    def take_back(self, jobs: Sequence[Job]) -> None:
        """Take what has not begun out of the queue."""
        if ids := [self._ids[job] for job in jobs if job in self._ids]:
            subprocess.run(["scancel", "--state=PENDING", *ids], check=False, capture_output=True)

    def ended(self) -> Iterator[tuple[Job, str]]:
        """Yield the runs whose job two looks in a row did not find; a requeued job may be missing in one."""
        self._look_when_due()  # or `start` has looked since the last call
        if self._counted == self._looks:
            return
        self._counted = self._looks
        for job in list(self._started):
            queued = self._ids[job] in self._queue
            self._absent[job] = 0 if queued else self._absent.get(job, 0) + 1
            if self._absent[job] >= 2:  # once may be the moment in which it is queued again
                self._started.remove(job)
                yield job, self._explain(job)

    def close(self) -> None:
        """Tell what is left in the queue, and how to stop it."""
        if self._ids:
            self._look()  # an interrupt may have come before the first look
        if left := [number for number in self._ids.values() if number in self._queue]:
            print(
                f"{len(left)} jobs stay with SLURM; the same command follows them,"
                f" `scancel {' '.join(left)}` stops them"
            )

    def resources(self, job: Job) -> dict[str, int]:
        trainer = job.config.trainer
        if trainer.devices == ALL:
            raise UserError(f"trainer.devices={ALL}: SLURM must be asked for a number of them")
        gpus = self._options.gpus_per_node
        if gpus is None:
            gpus = 0 if trainer.accelerator == "cpu" else trainer.devices
        if (gpus or trainer.accelerator == "gpu") and gpus < trainer.devices:
            raise UserError(f"trainer.devices={trainer.devices}: hydra.launcher.gpus_per_node is {gpus}")
        asked = {"nodes": trainer.num_nodes, "ntasks_per_node": trainer.devices}
        return {**asked, "gpus_per_node": gpus} if gpus else asked

    def _submit(self, jobs: Sequence[Job], resources: dict[str, int]) -> None:
        """Submit one array of jobs that ask for the same; what SLURM prints of them lies beside their folders."""
        executor = self._executor(jobs[0].folder.path.absolute().parent / "slurm")
        executor.update_parameters(**resources)
        tasks = [Execute(str(job.folder.path.absolute())) for job in jobs]
        with _uninterrupted():  # a job without a ticket would be submitted again
            try:
                submitted = executor.submit_array(tasks)
            except Exception as error:  # submitit wraps what sbatch said in an error of its own
                said = [line for line in str(error).splitlines() if "error" in line.lower()]
                message = f"sbatch refused: {(said or [str(error)])[-1].strip()}"
                if resources.get("gpus_per_node"):
                    message += (
                        f" ({resources['gpus_per_node']} GPUs a node; trainer.accelerator=cpu asks for none)"
                    )
                raise UserError(message) from None
            for job, entry in zip(jobs, submitted, strict=True):
                self._ids[job] = entry.job_id
                self._queue[entry.job_id] = "PENDING"
                text = json.dumps({"job": entry.job_id, "log": str(entry.paths.stderr)})
                write_text(job.folder.path / TICKET, text + "\n")

    def _executor(self, folder: Path) -> Any:
        try:
            from submitit import SlurmExecutor
        except ImportError:
            raise UserError("hydra/launcher=slurm needs the extra: pip install 'resnet-lab[slurm]'") from None
        options = self._options
        for key in options.additional_parameters:
            if not key.replace("-", "").replace("_", "").isalnum():
                raise UserError(f"hydra.launcher.additional_parameters: {key!r} is not an option of sbatch")
        executor = SlurmExecutor(folder, max_num_timeout=options.max_num_timeout)
        chosen = {
            name: value
            for name in ("partition", "account", "qos")
            if (value := getattr(options, name)) is not None
        }
        executor.update_parameters(
            **chosen,
            job_name=JOB_NAME,
            time=options.timeout_min,
            cpus_per_task=options.cpus_per_task,
            **({"mem": f"{int(options.mem_gb * 1024)}MB"} if options.mem_gb else {}),
            signal_delay_s=options.signal_delay_s,
            array_parallelism=options.array_parallelism,
            additional_parameters={"requeue": True, **options.additional_parameters},
            setup=[*SETUP, *options.setup],
            srun_args=["--kill-on-bad-exit=1"],  # or the others wait for one that failed
        )
        return executor

    def _look_when_due(self) -> None:
        if time.monotonic() >= self._looked + self._options.poll_seconds:
            self._look()

    def _look(self) -> bool:
        """Read the queue; False, and what was known stays, while SLURM does not answer."""
        self._looked = time.monotonic()
        command = ["squeue", "--me", "--noheader", "--array", "--format=%i %T"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode:
            return False
        self._queue = dict(line.split(maxsplit=1) for line in answer.stdout.splitlines() if line.strip())
        self._looks += 1
        return True

    def _explain(self, job: Job) -> str:
        """Return what SLURM says of a job that it ended itself or that left no record; "" where the record tells."""
        number = self._ids[job]
        command = ["scontrol", "show", "job", "--oneliner", number]
        answer = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        state = dict(word.split("=", 1) for word in answer.split() if "=" in word).get("JobState", "gone")
        if job.folder.record() is not None and state in ("COMPLETED", "FAILED", "gone"):
            return ""  # otherwise the record may be of an attempt before this one
        return f"SLURM job {number} is {state}; {_ticket(job, 'log')} tells more"


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold signals back for a moment, also from the programs that are started in it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ticket(job: Job, key: str = "job") -> str:
    """Return what is known of the job that was submitted last for a run; "" when there was none."""
    try:
        return str(json.loads((job.folder.path / TICKET).read_text())[key])
    except (OSError, ValueError, KeyError):
        return ""
