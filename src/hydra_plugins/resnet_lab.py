"""Hydra takes plugins only from this package: the sweepers and the launchers of `resnet_lab.sweeps`."""

from resnet_lab.sweeps.plugins import LocalLauncher, RayLauncher, SearchSweeper, SlurmLauncher

__all__ = ["LocalLauncher", "RayLauncher", "SearchSweeper", "SlurmLauncher"]
