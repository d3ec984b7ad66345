"""What a run folder needs to be executed: itself."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from forked import ended, forked
from resnet_lab.config import groups
from resnet_lab.config.schema import TrainConfig
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder


def test_run_needs_neither_hydra_nor_configs(make_config: Callable[..., TrainConfig], tmp_path: Path) -> None:
    """So editing `configs/` while a sweep runs changes nothing that was composed already."""
    folder = RunFolder.create(make_config(recipe={"epochs": 1}))

    def train() -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == "hydra"]:
            del sys.modules[name]
        sys.modules["hydra"] = None  # type: ignore[assignment]
        pytest.MonkeyPatch().setattr(groups, "config_dir", lambda: tmp_path / "gone")
        execute(folder.path)

    assert ended(forked(train)) == 0
    assert folder.state() == "finished"
