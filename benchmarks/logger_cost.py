"""What logging costs a run of a tiny net: steps.csv beside none, and W&B, offline and with a server on this machine.

    python benchmarks/logger_cost.py --pairs 5

Runs of each kind take turns, each a process of its own. An epoch is timed by history.csv, a run's start from the
command to its first epoch, its end from the last epoch to the process's. What steps.csv costs is so little that it is
counted in seconds of the processor, which do not depend on what else the machine does.
"""

import argparse
import json
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
CLAIMS = {  # of a kind: what it is compared with, in which seconds, and how many times those at most
    "csv": ("csv, no steps", "processor", 1.02),
    "wandb, offline": ("csv", "epoch", 1.05),
    "wandb, online": ("csv", "epoch", 1.05),
}


def measured(kind: str, root: Path, server: WandbServer) -> dict[str, float]:
    """Seconds of an epoch (the median), of the start and of the end."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    if kind == "wandb, online":
        environment |= {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": server.address}
    logger = kind.partition(",")[0]
    command = [sys.executable, "-m", "resnet_lab", "train", *TINY, f"logger={logger}", f"run_dir={root}"]
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
    cost = json.loads((root / "record.json").read_text())["cost"]
    return {
        "processor": cost["processor_seconds"] / EPOCHS,
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
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="only these")
    given = parser.parse_args()
    pairs, kinds = given.pairs, given.kinds
    server = WandbServer()
    told: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory() as scratch:
        for pair in range(pairs):
            for kind in kinds:
                told[kind].append(measured(kind, Path(scratch) / f"{kind}{pair}".replace(", ", "_"), server))
    figures = {
        kind: {what: statistics.median(run[what] for run in runs) for what in runs[0]}
        for kind, runs in told.items()
    }
    first = figures[kinds[0]]
    print(
        f"{'':16}  {'an epoch':>18}  {'processor':>18}  {'the start':>9}  {'the end':>9}   (medians of {pairs} runs)"
    )
    for kind, each in figures.items():
        epoch, processor = (
            f"{1000 * each[what]:.1f} ms  x {each[what] / first[what]:.3f}" for what in ("epoch", "processor")
        )
        print(f"{kind:16}  {epoch:>18}  {processor:>18}  {each['start']:>7.2f} s  {each['end']:>7.2f} s")
    leave(
        __file__,
        [
            Claim.of_turns(
                f"an epoch of a tiny net, logger={kind}{', processor' if what == 'processor' else ''}",
                "s",
                [run[what] for run in told[kind]],
                [run[what] for run in told[against]],
                against=against,
                most=most,
            )
            for kind, (against, what, most) in CLAIMS.items()
            if kind in kinds and against in kinds
        ],
    )


if __name__ == "__main__":
    main()
