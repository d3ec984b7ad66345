"""A report over many runs: seconds and memory for 1,000, 4,000 and 10,000, made from the committed records.

    python benchmarks/report_scaling.py

Each committed run of `--results` is copied under further seeds, so that groups, histories and tables are those of a
real sweep that was repeated. The last column is the seconds of a thousand runs: where it stays level, the report is
linear.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from measuring import Claim, leave

RESULTS = Path(__file__).parents[1] / "results" / "claims" / "depth"
TIMED = """
import resource, sys, time
from pathlib import Path
start = time.perf_counter()
from resnet_lab.report import report
report(Path(sys.argv[1]))
took = time.perf_counter() - start
print(took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10, file=sys.stderr)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, nargs="+", default=[1000, 4000, 10_000])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--write", action="store_true", help="into results/benchmarks")
    args = parser.parse_args()

    claims = []
    table = Table("runs", "seconds", "MiB", "seconds a thousand runs")
    for runs in args.runs:
        with tempfile.TemporaryDirectory() as place:
            multiply(args.results, Path(place) / "sweep", runs)
            command = [sys.executable, "-c", TIMED, place]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds, memory = map(float, done.stderr.split())
        table.add_row(f"{runs:,}", f"{seconds:.2f}", f"{memory:,.0f}", f"{1000 * seconds / runs:.2f}")
        claims += [
            Claim(f"a report over {runs:,} runs", "s", seconds, most=7 if runs == 10_000 else None),
            Claim(
                f"a report over {runs:,} runs: memory", "MiB", memory, most=512 if runs == 10_000 else None
            ),
        ]
    Console().print(table)
    leave(__file__, claims)


def multiply(results: Path, sweep: Path, runs: int) -> None:
    """So many run folders of these committed ones, each under a seed of its own."""
    sources = sorted(path.parent for path in results.rglob("record.json"))
    for number in range(runs):
        source = sources[number % len(sources)]
        record = json.loads((source / "record.json").read_text())
        seed = record["seed"] + 100 * (number // len(sources))
        folder = sweep / f"{source.name}-{seed}"
        folder.mkdir(parents=True)
        record.pop("digest", None)
        record["seed"] = record["config"]["seed"] = seed
        (folder / "record.json").write_text(json.dumps(record, indent=2) + "\n")
        for name in ("history.csv", "config.yaml"):
            if (source / name).exists():
                (folder / name).write_bytes((source / name).read_bytes())


if __name__ == "__main__":
    main()
