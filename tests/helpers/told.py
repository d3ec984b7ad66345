"""What a tracker has of a run, read back, to be held against its history.csv."""

import json
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from resnet_lab.runs.folder import RunFolder
from resnet_lab.tracking.rows import read_rows, told_by_one

WANDB = find_spec("wandb")
assert WANDB is not None
assert WANDB.origin is not None
CORE = Path(WANDB.origin).parent / "bin" / "wandb-core"


def offline_runs(place: Path) -> list[dict[str, list[Any]]]:
    """The records of each file of W&B's in a `wandb/` folder, by their type, as `wandb leet inspect` reads them."""
    runs = []
    for path in sorted((place / "wandb").glob("*run-*/*.wandb")):
        # What `wandb leet inspect --json` starts, which takes most of a second to do so.
        leet = [CORE, "leet", "inspect", "--no-observability", "--json", "--run-file", path, place / "wandb"]
        text = subprocess.run(leet, capture_output=True, text=True, check=True).stdout
        records: dict[str, list[Any]] = {"name": [path.stem]}  # which `wandb sync` takes the id from
        for line in map(json.loads, text.splitlines()):
            records.setdefault(line["type"], []).append(line[line["type"]])
        runs.append(records)
    return runs


def merged(records: dict[str, list[Any]], kind: str) -> dict[str, Any]:
    """The configuration or the summary, as its updates left it."""
    values: dict[str, Any] = {}
    for update in records[kind]:
        values |= update["update"]
    return values


def plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without what W&B adds to them."""
    return [{key: value for key, value in row.items() if not key.startswith("_")} for row in rows]


def offline_rows(folder: RunFolder) -> list[list[dict[str, Any]]]:
    """The rows in each offline file of a run folder."""
    return [plain([row["item"] for row in each.get("history", [])]) for each in offline_runs(folder.path)]


def rows(folder: RunFolder) -> list[dict[str, Any]]:
    """Of history.csv."""
    return [dict(row) for row in read_rows(folder.history_file)]


def run_id(folder: RunFolder) -> str:
    return str(json.loads((folder.path / "wandb.json").read_text())["id"])


def settled(folder: RunFolder) -> None:
    """Wait for the process beside a killed run to have told what it could."""
    while not (folder.path / "wandb.json").exists():
        time.sleep(0.05)
    with told_by_one(folder.path):
        pass
