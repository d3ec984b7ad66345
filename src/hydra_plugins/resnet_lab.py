"""Hydra takes plugins only from this package: the sweeper and the launchers of `resnet_lab.sweeps`."""

from resnet_lab.sweeps.plugins import GridSweeper, LocalLauncher, RayLauncher, SlurmLauncher

__all__ = ["GridSweeper", "LocalLauncher", "RayLauncher", "SlurmLauncher"]
