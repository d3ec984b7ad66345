"""What Hydra calls for each job, and the note of what became of them. Free of torch at import."""

from collections.abc import Mapping

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from resnet_lab.config.compose import typed
from resnet_lab.config.schema import TrainConfig
from resnet_lab.runs.record import State
from resnet_lab.sweeps.jobs import Job

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
