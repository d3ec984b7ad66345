"""The experiment runs, and its runs can be reported."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parents[1]


def resnet_lab(*arguments: str) -> str:
    command = [sys.executable, "-m", "resnet_lab.cli", *arguments]
    return subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=True).stdout


def test_the_experiment_trains_every_run(tmp_path: Path) -> None:
    told = resnet_lab("train", "-m", "experiment=first", "debug=true", f"runs_root={tmp_path}")
    assert "4 runs: 4 finished" in told
    assert "first" in resnet_lab("report", str(tmp_path))
