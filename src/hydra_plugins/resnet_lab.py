"""Hydra takes plugins only from this package, which it searches: our launcher, and the sweepers of extras."""

from resnet_lab.extras import registered
from resnet_lab.sweeps.plugins import FolderLauncher

__all__ = ["FolderLauncher"]
globals().update({name: sweeper() for name, sweeper in registered("sweeper").items()})
