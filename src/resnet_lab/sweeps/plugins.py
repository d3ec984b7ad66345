"""Hydra's side of a sweep: the task, and the launcher that brings jobs to their end at a place."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from resnet_lab.config.compose import typed
from resnet_lab.config.grid import apart
from resnet_lab.config.identity import path_of
from resnet_lab.config.schema import TrainConfig
from resnet_lab.errors import UserError, unknown
from resnet_lab.extras import registered
from resnet_lab.fields import check
from resnet_lab.runs.record import State
from resnet_lab.sweeps.jobs import Job, name_jobs
from resnet_lab.sweeps.places.local import Local, LocalOptions
from resnet_lab.sweeps.places.slurm import Slurm, SlurmOptions
from resnet_lab.sweeps.sweep import Place, PlaceOptions, run_sweep

NAMESPACE = "hydra_plugins.resnet_lab"  # where Hydra looks for plugins

# By hydra.launcher.place, each with the class of its options; extras register theirs.
PLACES: dict[str, tuple[Callable[[Any], Place], type]] = {
    "local": (Local, LocalOptions),
    "slurm": (Slurm, SlurmOptions),
}

INTERRUPTED = 130  # what a run ends with after Ctrl-C


class Task:
    """Hydra's task function: a launcher that is not ours calls it, in a process of its choice.

    Our launchers take what is `composed` already, make the folders and execute them themselves; they note here what
    became of each job.
    """

    def __init__(
        self, composed: Mapping[tuple[str, ...], TrainConfig], *, retry_failed: bool = False
    ) -> None:
        self.composed = composed  # a grid's jobs by their overrides; none of a search
        self.retry_failed = retry_failed  # also what diverged
        self.jobs: list[Job] = []
        self.ours = False  # whether one of our launchers brings the jobs to their end, and shows them

    def __call__(self, composed: DictConfig) -> float | None:
        """Train what was composed; returns what a search minimises, None when the run failed."""
        from resnet_lab.runs.__main__ import main

        there = self.composed.get(tuple(HydraConfig.get().overrides.task))
        job = Job.of(there or typed(composed), retry_failed=self.retry_failed)
        if job.status == State.WAITING:
            code = main([str(job.folder.path)])
            job.settle()
            if code == INTERRUPTED:
                raise KeyboardInterrupt
        self.jobs.append(job)
        return job.objective()


class FolderLauncher(Launcher):
    """Makes the folder of every job, then executes them at a `place`; nothing is composed later.

    A job returns what a search minimises, its validation error in per cent, and None when it failed.
    """

    __module__ = NAMESPACE

    def __init__(self, place: str, **options: Any) -> None:
        extras = registered("place")
        if place not in PLACES and place not in extras:
            raise unknown("hydra.launcher.place", place, [*PLACES, *extras])
        self.make: Callable[[Any], Place]
        self.make, kind = PLACES.get(place) or extras[place]()
        self.options: PlaceOptions = options_of(kind, options)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context = hydra_context
        assert isinstance(task_function, Task)
        self.task = task_function
        self.task.ours = True
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:  # noqa: ARG002
        from resnet_lab.sweeps.board import Board, print_summary  # rich takes 0.05 s: a mistake need not wait

        place = self.make(self.options)
        configs = apart([self._composed(overrides) for overrides in job_overrides])
        cores = [place.cores(config) for config in configs]  # or UserError, before a folder is made
        there = {
            path_of(config): Job.of(config, count, retry_failed=self.task.retry_failed)
            for config, count in zip(configs, cores, strict=True)
        }
        jobs = list(there.values())
        name_jobs(jobs, self.task.jobs)
        try:
            run_sweep(jobs, place, Board(jobs), self.options.max_failures)
        finally:
            print_summary(jobs)
            self.task.jobs += jobs
        returns = []
        for overrides, config in zip(job_overrides, configs, strict=True):
            job = there[path_of(config)]
            done = JobReturn(overrides=list(overrides), task_name=job.name, status=JobStatus.COMPLETED)
            done.return_value = job.objective()
            returns.append(done)
        return returns

    def _composed(self, overrides: Sequence[str]) -> TrainConfig:
        """Return a run's configuration, which a grid has composed already and a search composes now."""
        there = self.task.composed.get(tuple(overrides))
        return there or typed(
            self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
        )


def options_of(kind: type, given: dict[str, object], where: str = "hydra.launcher") -> Any:
    """Return a launcher's or a sweeper's options, typed; UserError names the key that is wrong."""
    try:
        options = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(kind), given))
    except OmegaConfBaseException as error:
        raise UserError(f"{where}.{error.full_key}: {str(error).splitlines()[0]}") from None
    check(options, f"{where}.")
    return options
