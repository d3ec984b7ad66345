"""What Hydra calls for each job, and the note of what became of them. Free of torch at import."""

from omegaconf import DictConfig

from resnet_lab.config.compose import typed
from resnet_lab.sweeps.jobs import Job


class Task:
    """Hydra's task function: a launcher that is not ours calls it, in a process of its choice.

    Our launchers make the folders and execute them themselves; they note here what became of each job.
    """

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def __call__(self, composed: DictConfig) -> float | None:
        """Train what was composed; returns what a search minimises, None when the run failed."""
        from resnet_lab.runs.__main__ import main

        job = Job.of(typed(composed))
        main([str(job.folder.path)])
        job.settle()
        self.jobs.append(job)
        return job.objective()
