"""The jobs of a sweep, before any is composed."""

from resnet_lab.sweeps.expand import grids


def expanded(overrides: list[str]) -> list[list[str]]:
    """The overrides of each, as they were read; none is left out."""
    return [job for grid in grids(overrides) for job in grid.jobs]
