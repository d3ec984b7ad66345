"""A run killed with SIGKILL at random moments, and the same run undisturbed: what is lost, and what differs.

    python benchmarks/kill_and_resume.py --kills 20

A residual net learns the digits on one thread of the CPU and writes a checkpoint every few iterations. Its process
group is killed once it has gone on by a random number of iterations, every other time in the middle of writing a
checkpoint, and `python -m resnet_lab.runs RUN_DIR` starts it again. A kill counts as lost when the run then does not
go on from the newest checkpoint that was complete. At the end final weights (bit for bit), the last checkpoint,
history.csv and record.json are compared with the undisturbed run, without times and what tells of the resumes.
"""

import argparse
import csv
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measuring import Claim, leave
from resnet_lab.config.request import compose
from resnet_lab.runs.folder import RunFolder

OVERRIDES = (
    "data=digits",
    "model.depth=20",
    "model.width=8",
    "recipe=digits",
    "trainer.accelerator=cpu",
    "trainer.threads=1",
    "trainer.progress=false",
)
EVERY = 2  # iterations from one checkpoint to the next
PATIENCE = 120.0  # seconds until a started run must have gone on
# Keys of a record that two runs never share.
DIFFER = {"started", "finished", "resumes", "resumed_from", "environment", "files", "digest"}


@dataclass
class Kill:
    """One kill: the newest complete checkpoint, and what the process was doing."""

    iteration: int
    writing: bool  # a checkpoint was half written
    seconds: float  # from the start of the process


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument(
        "--seed", type=int, default=0, help="of the moments; they also depend on the machine's speed"
    )
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--write", action="store_true", help="into results/benchmarks")
    args = parser.parse_args()

    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kill_and_resume-") as scratch:
        whole, killed = (folder(Path(scratch) / name, args.epochs) for name in ("whole", "killed"))
        start(whole).wait()
        end = iteration(whole)
        print(f"undisturbed: {end} iterations in {time.monotonic() - began:.0f} s", flush=True)

        moments = random.Random(args.seed)
        kills = []
        print("kill  iteration  in a write  seconds", flush=True)
        for number in range(1, args.kills + 1):
            left = args.kills + 1 - number
            goal = iteration(killed) + moments.randint(
                1, max(1, 2 * (end - iteration(killed)) // (left + 1) - EVERY)
            )
            kills.append(kill(killed, goal, moments, in_a_write=number % 2 == 0))
            last = kills[-1]
            print(
                f"{number:4}  {last.iteration:9}  {'yes' if last.writing else '':>10}  {last.seconds:7.1f}",
                flush=True,
            )
        code = start(killed).wait()
        lost = len(lost_of(killed, kills))
        differences = (
            compare(whole, killed, len(kills)) if code == 0 else [f"the last start ended with {code}"]
        )

    for difference in differences:
        print(difference)
    writing = sum(each.writing for each in kills)
    print(f"{writing} kills within a write, {time.monotonic() - began:.0f} s in all")
    print(f"{len(kills)} kills, {lost} lost, {'different' if differences else 'identical'}")
    lost_ = Claim(
        "runs killed with SIGKILL and resumed: progress lost", f"of {len(kills)} kills", lost, most=0
    )
    differ = Claim(
        "what differs from the run undisturbed, to the last bit", "files", len(differences), most=0
    )
    leave(__file__, [lost_, differ])
    return 1 if lost or differences else 0


def folder(root: Path, epochs: int) -> RunFolder:
    keep = [f"recipe.epochs={epochs}", f"callbacks.checkpoint.every_iterations={EVERY}", f"runs_root={root}"]
    return RunFolder.create(compose([*OVERRIDES, *keep]))


def start(run: RunFolder) -> subprocess.Popen[bytes]:
    """The run in a process group of its own."""
    command = [sys.executable, "-m", "resnet_lab.runs", str(run.path)]
    return subprocess.Popen(command, start_new_session=True, stdin=subprocess.DEVNULL)


def kill(run: RunFolder, goal: int, moments: random.Random, *, in_a_write: bool) -> Kill:
    """Start the run and kill it once it has a new checkpoint, at `goal` or beyond."""
    goal = max(goal, iteration(run) + 1)
    began = time.monotonic()
    process = start(run)
    while iteration(run) < goal:
        if process.poll() is not None or time.monotonic() > began + PATIENCE:
            raise SystemExit(f"the run ended or hung before it was killed: see {run.log_file}\n{tail(run)}")
        time.sleep(0.001)
    if in_a_write:
        while not unfinished(run) and process.poll() is None:
            pass
    else:
        time.sleep(moments.uniform(0, 0.05))
    os.killpg(process.pid, signal.SIGKILL)
    if process.wait() != -signal.SIGKILL:
        raise SystemExit(f"the run ended before it was killed:\n{tail(run)}")
    return Kill(iteration(run), bool(unfinished(run)), time.monotonic() - began)


def checkpoints(run: RunFolder) -> list[Path]:
    return sorted(run.checkpoints.glob("[0-9]*.ckpt"))


def iteration(run: RunFolder) -> int:
    """Of the newest complete checkpoint; 0 before the first."""
    return max((int(path.stem) for path in checkpoints(run)), default=0)


def unfinished(run: RunFolder) -> list[str]:
    """The checkpoints that are being written, or that a kill left behind."""
    return [path.name for path in run.checkpoints.glob(".*.tmp")]


def lost_of(run: RunFolder, kills: list[Kill]) -> list[Kill]:
    """The kills after which the run did not go on from the newest complete checkpoint, as log.txt tells."""
    restored = re.findall(
        r"Restored all states from the checkpoint at \S*?(\d+)\.ckpt", run.log_file.read_text()
    )
    print(f"went on from: {' '.join(str(int(each)) for each in restored)}")
    return [
        each
        for number, each in enumerate(kills)
        if number >= len(restored) or int(restored[number]) != each.iteration
    ]


def compare(whole: RunFolder, killed: RunFolder, kills: int) -> list[str]:
    """What differs, a line each."""
    import torch

    found = []
    if whole.weights_file.read_bytes() != killed.weights_file.read_bytes():
        found.append("the final weights differ")
    ours, theirs = (torch.load(checkpoints(run)[-1], weights_only=True) for run in (killed, whole))
    if not same(ours["optimizer_states"], theirs["optimizer_states"]):
        found.append("the optimiser's states differ")
    if history(whole) != history(killed):
        found.append("history.csv differs")
    expected, record = facts(whole), facts(killed)
    found += [
        f"record.json: {key} differs" for key in expected | record if expected.get(key) != record.get(key)
    ]
    if killed.record().resumes != kills:
        found.append(f"record.json tells of {killed.record().resumes} resumes")
    return found


def same(one: Any, other: Any) -> bool:
    """Equal to the last bit, whatever the nesting."""
    import torch

    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def history(run: RunFolder) -> list[dict[str, str]]:
    with run.history_file.open(newline="") as file:
        return [
            {key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)
        ]


def facts(run: RunFolder) -> dict[str, Any]:
    """The record without times and costs; of what it cost, the images that were seen, each counted once."""
    record = json.loads(run.record_file.read_text())
    kept = {key: value for key, value in record.items() if key not in DIFFER}
    kept["cost"] = record["cost"]["images"]
    kept["config"] = {key: value for key, value in record["config"].items() if key != "runs_root"}
    return kept


def tail(run: RunFolder) -> str:
    return "\n".join(run.log_file.read_text().splitlines()[-20:]) if run.log_file.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
