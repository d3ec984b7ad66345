"""What a user waits for before anything trains: help, the first step of a run, the first step of a run in a sweep.

    python benchmarks/startup.py

A run of its own is held against a process that imports torch and lightning and does nothing; a run in a sweep, which is
forked from one that imported everything, and `--help` have bounds in seconds. Times are of the processor, over all
threads: those of the wall depend on what else the machine does, and are at least as long.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from measuring import Claim, interleaved, leave

STARTED = "STARTED"  # the variable of the environment that names where Stop writes
RUN = ["data=digits", "recipe=digits", "model.depth=8", "trainer.accelerator=cpu", "trainer.progress=false"]
STOP = "callbacks.extra={stop: {_target_: startup.Stop, identity: false}}"


class Stop:
    """Lightning's callback, made where lightning is loaded already: the process tells of its first step, and ends."""

    def __new__(cls) -> Any:
        from lightning.pytorch.callbacks import LambdaCallback

        return LambdaCallback(on_train_batch_end=_tell)


def _tell(*_: Any) -> None:
    with Path(os.environ[STARTED]).open("a") as file:
        file.write(f"{time.process_time()}\n")
    os._exit(0)


def process(*words: str, **env: str) -> float:
    """Processor seconds of a process and its children."""
    before = os.times()
    subprocess.run(
        words, check=True, env={**os.environ, **env}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def imports() -> float:
    return process(sys.executable, "-c", "import torch, lightning")


def first_step(scratch: Path) -> float:
    words = [*RUN, STOP, f"runs_root={scratch}/{time.monotonic_ns()}"]
    return process(_command(), "train", *words, **_environment(scratch / "one"))


def in_a_sweep(scratch: Path, runs: int = 6) -> list[float]:
    """Processor seconds of each run of a sweep, from the fork to the first step."""
    told = scratch / "sweep"
    words = [*RUN, STOP, f"runs_root={scratch}/sweep-runs", f"seed={','.join(map(str, range(runs)))}"]
    environment = {**os.environ, **_environment(told)}
    subprocess.run(  # its runs are cut short: it tells so, and fails
        [_command(), "train", "-m", *words, "hydra.launcher.slots=1"], env=environment, capture_output=True
    )
    return [float(line) for line in told.read_text().splitlines()]


def _environment(told: Path) -> dict[str, str]:
    return {STARTED: str(told), "PYTHONPATH": str(Path(__file__).parent)}


def _command() -> str:
    return str(Path(sys.executable).with_name("resnet-lab"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="into results/benchmarks")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="startup-") as place:
        scratch = Path(place)
        ways: dict[str, Callable[[], float]] = {
            "run": partial(first_step, scratch),
            "imports": imports,
            "help": partial(process, _command(), "--help"),
            "python": partial(process, sys.executable, "-c", "pass"),
        }
        took = interleaved(ways, args.turns)
        runs = in_a_sweep(scratch)
    unit = "s of the processor"
    against = "importing torch and lightning"
    alone = Claim.of_turns(
        "from `resnet-lab train` to the first step",
        unit,
        took["run"],
        took["imports"],
        against=against,
        most=1.15,
    )
    swept = Claim(
        "from the fork of a run in a sweep to its first step", unit, median(runs), turns=len(runs), most=0.35
    )
    help_ = Claim("`resnet-lab --help`", unit, median(took["help"]), turns=args.turns, most=0.1)
    bare = Claim("an interpreter that does nothing", unit, median(took["python"]), turns=args.turns)
    leave(__file__, [alone, swept, help_, bare])


if __name__ == "__main__":
    main()
