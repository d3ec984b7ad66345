"""The experiment runs, and its runs can be reported."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parents[1]


def resnet_lab(*arguments: str) -> str:
    command = [sys.executable, "-m", "resnet_lab", *arguments]
    return subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=True).stdout


def test_the_experiment_trains_a_net_of_our_own_beside_a_residual_one(tmp_path: Path) -> None:
    few = ("recipe.loss_args.gamma=2", "seed=0", "debug=true")
    output = resnet_lab("train", "-m", "experiment=first", *few, f"runs_root={tmp_path}")
    assert "2 runs: 2 finished" in output
    table = resnet_lab("report", str(tmp_path))
    assert "mine" in table
    assert "certainty" in table
