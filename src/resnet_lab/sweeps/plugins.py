"""Hydra's side of a sweep: the sweeper that chooses the jobs of a search, and the launchers that end jobs."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from resnet_lab.config.compose import typed
from resnet_lab.config.grid import apart
from resnet_lab.config.identity import path_of
from resnet_lab.config.schema import TrainConfig
from resnet_lab.errors import UserError
from resnet_lab.runs.record import State
from resnet_lab.sweeps.board import Board, print_summary
from resnet_lab.sweeps.jobs import Job, name_jobs
from resnet_lab.sweeps.places.local import Local, LocalOptions
from resnet_lab.sweeps.places.ray import Ray, RayOptions
from resnet_lab.sweeps.places.slurm import Slurm, SlurmOptions
from resnet_lab.sweeps.search import Search, SearchOptions
from resnet_lab.sweeps.sweep import Place, run_sweep

# Hydra takes plugins only from the package `hydra_plugins`, which it searches in every program of the
# environment. Ours are registered by hand, under a name there, so that they appear in this program alone.
NAMESPACE = "hydra_plugins.resnet_lab"


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


class SearchSweeper(Sweeper):
    """hydra/sweeper=optuna: what is tried next follows from what was found."""

    __module__ = NAMESPACE

    def __init__(self, **options: Any) -> None:
        self.options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.launcher = Plugins.instance().instantiate_launcher(hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> Any:
        assert self.launcher is not None
        launch = self.launcher.launch

        def objectives(jobs: list[list[str]]) -> list[Any]:
            return [each.return_value for each in launch(jobs, initial_job_idx=0)]

        search = Search(options_of(SearchOptions, self.options, "hydra.sweeper"), arguments)
        print(search.run(objectives))


class FolderLauncher(Launcher):
    """Makes the folder of every job, then executes them at a place; nothing is composed later.

    A job returns what a search minimises, its validation error in per cent, and None when it failed.
    """

    def __init__(self, max_failures: int | None = None, **options: Any) -> None:
        self.max_failures = max_failures
        self.options = options

    @abstractmethod
    def place(self) -> Place:
        """Where the runs are executed."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context = hydra_context
        assert isinstance(task_function, Task)
        self.task = task_function
        self.task.ours = True
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:  # noqa: ARG002
        most = self.max_failures
        if most is not None and not (type(most) is int and most >= 1):
            raise UserError(f"hydra.launcher.max_failures={most}: a number of runs is needed, 1 or more")
        place = self.place()
        configs = apart([self._composed(overrides) for overrides in job_overrides])
        # What can never run here is reported before a folder is made.
        cores = [place.cores(config) for config in configs]
        paths = [path_of(config) for config in configs]
        there = {
            path: Job.of(*each, retry_failed=self.task.retry_failed)
            for path, each in zip(paths, zip(configs, cores, strict=True), strict=True)
        }
        jobs = list(there.values())
        name_jobs(jobs, self.task.jobs)
        try:
            run_sweep(jobs, place, Board(jobs), self.max_failures)
        finally:
            print_summary(jobs)
            self.task.jobs += jobs
        returns = []
        for overrides, path in zip(job_overrides, paths, strict=True):
            job = there[path]
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


class LocalLauncher(FolderLauncher):
    """hydra/launcher=local: slots of this machine."""

    __module__ = NAMESPACE

    def place(self) -> Local:
        return Local(options_of(LocalOptions, self.options))


class SlurmLauncher(FolderLauncher):
    """hydra/launcher=slurm: jobs of a cluster."""

    __module__ = NAMESPACE

    def place(self) -> Slurm:
        return Slurm(options_of(SlurmOptions, self.options))


class RayLauncher(FolderLauncher):
    """hydra/launcher=ray: tasks of a cluster, or of one that is started here."""

    __module__ = NAMESPACE

    def place(self) -> Ray:
        return Ray(options_of(RayOptions, self.options))


def options_of(kind: type, given: dict[str, Any], where: str = "hydra.launcher") -> Any:
    """A launcher's or a sweeper's options, typed; UserError names the key that is wrong."""
    try:
        return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(kind), given))
    except OmegaConfBaseException as error:
        raise UserError(f"{where}.{error.full_key}: {str(error).splitlines()[0]}") from None


def register() -> None:
    """Make the launchers and the sweepers known to Hydra."""
    for plugin in (SearchSweeper, LocalLauncher, SlurmLauncher, RayLauncher):
        Plugins.instance().register(plugin)
