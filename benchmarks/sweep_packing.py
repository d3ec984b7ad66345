"""Eight runs on the digits: side by side on the cores, against one after another with all threads.

    python benchmarks/sweep_packing.py

`hydra/launcher=local` gives each run a process and a core of its own; the peer is one process that trains the same
runs in turn, with a thread on every core, as PyTorch chooses. Both times are of the whole, imports included. The table
also tells what a run costs beyond its epochs: process, data, net, final test and record. The last line is the ratio of
the times.
"""

import argparse
import csv
import statistics
import subprocess
import sys
import tempfile
import time

from rich.console import Console

from measuring import Claim, leave
from resnet_lab.config.request import compose
from resnet_lab.cores import cores
from resnet_lab.runs.folder import RunFolder
from resnet_lab.sweeps.board import Board
from resnet_lab.sweeps.jobs import Job
from resnet_lab.sweeps.places.local import Local, LocalOptions
from resnet_lab.sweeps.sweep import run_sweep

ONE_BY_ONE = """
import sys
from resnet_lab.runs.execute import execute

for folder in sys.argv[1:]:
    assert execute(folder).state == "finished", folder
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--depth", type=int, default=20)
    parser.add_argument("--slots", type=int, default=None, help="runs at a time (default: one a core)")
    parser.add_argument("--write", action="store_true", help="into results/benchmarks")
    args = parser.parse_args()

    choices = [f"model.depth={args.depth}", f"recipe.epochs={args.epochs}", "trainer.accelerator=cpu"]
    choices += ["data=digits", "recipe=digits", "trainer.progress=false"]
    with tempfile.TemporaryDirectory(prefix="sweep_packing-") as scratch:
        ways = {
            way: [
                compose(
                    [*choices, f"seed={seed}", f"runs_root={scratch}/{way}", f"trainer.threads={threads}"]
                )
                for seed in range(args.runs)
            ]
            for way, threads in (("sequence", cores()), ("sweep", "null"))
        }
        jobs = [Job.of(config) for config in ways["sweep"]]
        began = time.monotonic()
        run_sweep(jobs, Local(LocalOptions(slots=args.slots)), Board(jobs, Console(quiet=True)))
        packed = time.monotonic() - began

        folders = [RunFolder.create(config) for config in ways["sequence"]]
        began = time.monotonic()
        subprocess.run([sys.executable, "-c", ONE_BY_ONE, *(str(each.path) for each in folders)], check=True)
        in_turn = time.monotonic() - began

        assert all(job.status == "finished" for job in jobs), [job.told for job in jobs]
        trained = statistics.mean(epochs(job.folder) for job in jobs)
        beyond = [(job.seconds or 0.0) - epochs(job.folder) for job in jobs]
        same = all(errors(job.folder) == errors(other) for job, other in zip(jobs, folders, strict=True))
        threads = jobs[0].folder.record().cost.threads
        turns = statistics.mean(epochs(each) for each in folders)

    print(f"{args.runs} runs of depth {args.depth}, {args.epochs} epochs of the digits, {cores()} cores")
    print(f"{'':32}{'seconds':>8}  epochs of a run (s)  threads a run")
    at_a_time = args.slots or min(args.runs, cores())
    print(f"{f'hydra/launcher=local, {at_a_time} at a time':32}{packed:8.1f}{trained:21.1f}{threads:15}")
    print(f"{'one process, one after another':32}{in_turn:8.1f}{turns:21.1f}{cores():15}")
    print(f"test errors of the two: {'the same' if same else 'not all the same (sums of other threads)'}")
    print(f"a run beyond its epochs: mean {statistics.mean(beyond):.2f} s, most {max(beyond):.2f} s")
    leave(
        __file__,
        [
            Claim(
                f"{args.runs} runs of depth {args.depth}, {args.epochs} epochs of the digits, {at_a_time} at a time",
                "s",
                packed,
                in_turn,
                against="one process, one run after another with all threads",
                ratio=packed / in_turn,
                most=0.75,
            ),
            Claim("a run of that sweep beyond its epochs", "s", statistics.mean(beyond), turns=len(beyond)),
        ],
    )


def epochs(folder: RunFolder) -> float:
    """Seconds of all epochs, their evaluation included."""
    with folder.history_file.open(newline="") as file:
        return sum(float(row["seconds"]) for row in csv.DictReader(file))


def errors(folder: RunFolder) -> float:
    return float(folder.record().last["test/error"])


if __name__ == "__main__":
    main()
