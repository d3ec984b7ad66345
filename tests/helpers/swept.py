"""The runs of a sweep: their overrides, before any is composed, and their configurations."""

from collections.abc import Iterable

from resnet_lab.config.grid import Job
from resnet_lab.config.request import Request
from resnet_lab.config.schema import TrainConfig


def expanded(overrides: Iterable[str]) -> list[list[str]]:
    """Return the overrides of each run; none is left out."""
    return [list(job) for job, _ in Request(overrides, multirun=True)._jobs()]


def composed(overrides: Iterable[str], *, planned: bool = False) -> dict[Job, TrainConfig]:
    return Request(overrides, multirun=True).runs(planned=planned)


def configurations(overrides: Iterable[str], *, planned: bool = False) -> list[TrainConfig]:
    return list(composed(overrides, planned=planned).values())


def runs_of_experiment(overrides: Iterable[str]) -> int:
    return Request(overrides).runs_of_experiment()
