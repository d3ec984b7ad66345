"""What logging costs a run of a tiny net: steps.csv beside none, and W&B, offline and with a server on this machine.

    python benchmarks/logger_cost.py --pairs 5

Runs of each kind take turns, each a process of its own. An epoch is timed by history.csv, a run's start from the
command to its first epoch, its end from the last epoch to the process's.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from resnet_lab.tracking.rows import read_rows

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))
from measuring import Claim, leave
from wandb_server import KEY, WandbServer

EPOCHS = 60
TINY = ["data=digits", "model.depth=8", "model.width=4", f"recipe.epochs={EPOCHS}", "trainer.progress=false"]
KINDS = ("csv, no steps", "csv", "wandb, offline", "wandb, online")
MOST = {"csv": 1.02, "wandb, offline": 1.05, "wandb, online": 1.05}  # times what it is compared with


def measured(kind: str, root: Path, server: WandbServer) -> dict[str, float]:
    """Seconds of an epoch (the median), of the start and of the end."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    if kind == "wandb, online":
        environment |= {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": server.address}
    logger = kind.partition(",")[0]
    command = [sys.executable, "-m", "resnet_lab.cli", "train", *TINY, f"logger={logger}", f"run_dir={root}"]
    command += ["logger.every_steps=0"] if kind.endswith("no steps") else []
    history = root / "history.csv"
    began = time.monotonic()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    while not history.exists() and process.poll() is None:
        time.sleep(0.005)
    first = time.monotonic() - began
    process.wait()
    whole = time.monotonic() - began
    assert process.returncode == 0
    seconds = [row["seconds"] for row in read_rows(history)]
    assert len(seconds) == EPOCHS
    return {
        "epoch": statistics.median(seconds),
        "start": first - seconds[0],
        "end": whole - first - sum(seconds[1:]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=5, help="runs of each kind")
    parser.add_argument("--write", action="store_true", help="into results/benchmarks")
    pairs = parser.parse_args().pairs
    server = WandbServer()
    told: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory() as scratch:
        for pair in range(pairs):
            for kind in KINDS:
                told[kind].append(measured(kind, Path(scratch) / f"{kind}{pair}".replace(", ", "_"), server))
    figures = {
        kind: {what: statistics.median(run[what] for run in runs) for what in runs[0]}
        for kind, runs in told.items()
    }
    csv = figures["csv"]
    print(f"{'':16}  {'an epoch':>18}  {'the start':>18}  {'the end':>10}   (medians of {pairs} runs)")
    for kind, each in figures.items():
        epoch = f"{1000 * each['epoch']:.1f} ms  x {each['epoch'] / csv['epoch']:.3f}"
        start = f"{each['start']:.2f} s  x {each['start'] / csv['start']:.3f}"
        print(f"{kind:16}  {epoch:>18}  {start:>18}  {each['end']:>8.2f} s")
    leave(
        __file__,
        [
            Claim.of_turns(
                f"an epoch of a tiny net, logger={kind}",
                "s",
                [run["epoch"] for run in told[kind]],
                [run["epoch"] for run in told[against]],
                against=against,
                most=MOST[kind],
            )
            for kind in KINDS[1:]
            for against in (KINDS[0] if kind == "csv" else "csv",)
        ],
    )


if __name__ == "__main__":
    main()
