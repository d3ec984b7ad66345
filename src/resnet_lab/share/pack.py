"""Finished runs of a folder as one archive, and back: what `report`, `evaluate` and `predict` take. Free of torch."""

import json
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from safetensors import SafetensorError, safe_open

from resnet_lab.errors import UserError, printable, several
from resnet_lab.files import open_file, read_text
from resnet_lab.report import FoundRun, collect, report
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.record import Record, State
from resnet_lab.runs.recording import SOURCES, environment
from resnet_lab.share import archive
from resnet_lab.share.card import card

SUFFIX = ".zip"
NEEDED = ("config.yaml", "record.json", "history.csv", "preprocessing.json", "weights.safetensors")
# What is so on one machine alone, and tells strangers of it; `null` and `runs` are the defaults.
OF_A_MACHINE = {"runs_root": "runs", "run_dir": None, "data.root": None, "data.cache": None}


def pack(folder: Path, out: Path | None = None) -> int:
    """Write the finished runs below a folder, with their tables and a model card, as one archive; returns 0.

    Of each run: configuration, record, history, preprocessing, weights. Where it was trained stays out.
    Raises UserError where no run is finished, or a file is missing.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder")
    found = collect(folder)
    runs = [run for run in found if run.state == State.FINISHED]
    if not runs:
        raise UserError(f"{folder} holds no finished run")
    if len(runs) < len(found):
        left = len(found) - len(runs)
        print(f"resnet-lab: {left} of {len(found)} runs are not finished, and left out", file=sys.stderr)
    path = out or Path(f"{folder.resolve().name}{SUFFIX}")
    with tempfile.TemporaryDirectory() as scratch:
        files = _gathered(folder, runs, Path(scratch))
        try:
            digest = archive.write(path, files, {"program": f"resnet-lab {environment().resnet_lab}"})
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}") from None
    size = path.stat().st_size / 2**20
    summary = f"{several(len(runs), 'run')}, {several(len(files), 'file')}, {size:.1f} MiB"
    print(f"{printable(path)}: {summary}, sha256 {digest}")
    return 0


def unpack(path: Path, out: Path | None = None) -> int:
    """Write what `pack` packed into a new folder, each file held against its digest; returns 0.

    Raises UserError for anything else, and leaves nothing behind then.
    """
    folder = out or Path(path.name.removesuffix(SUFFIX))
    if folder == path:
        raise UserError(f"--out is missing: {path} has no name of its own to unpack it to")
    manifest = archive.extract(path, folder)
    runs = sum(name.endswith("/record.json") for name in manifest["files"])
    print(f"{printable(folder)}: {several(runs, 'run')}; resnet-lab report {printable(folder)}")
    return 0


def _gathered(folder: Path, runs: Sequence[FoundRun], scratch: Path) -> dict[str, Path]:
    """Return the files of the archive by their names in it; those that are made for it lie in `scratch`."""
    files: dict[str, Path] = {}
    named = {
        run.path.resolve().name if run.path == folder else run.path.relative_to(folder).as_posix(): run
        for run in runs
    }
    for name, run in named.items():
        (scratch / name).mkdir(parents=True)
        _check(run.path)
        further = sorted([*run.path.glob("*.csv"), *run.path.glob(SOURCES)])
        for file in [*NEEDED, *(each.name for each in further)]:
            source = run.path / file
            if not source.is_file():
                raise UserError(f"{run.path} has no {file}: train it again, or move it elsewhere")
            if file in ("config.yaml", "record.json", "history.csv"):
                source = scratch / name / file
                source.write_text(_of_no_machine(file, read_text(run.path / file)), encoding="utf-8")
            files[f"{name}/{file}"] = source
    with redirect_stdout(StringIO()):
        report(scratch)
    made = (each for each in scratch.rglob("*") if each.is_file() and each.suffix in archive.SUFFIXES)
    files |= {each.relative_to(scratch).as_posix(): each for each in made}
    (scratch / "README.md").write_text(card(folder.resolve().name, named, scratch), encoding="utf-8")
    return files | {"README.md": scratch / "README.md"}


def _check(run: Path) -> None:
    """Raise UserError, which names the file, where one that others will read is damaged."""
    folder = RunFolder(run)
    folder.config()
    folder.check_left(*(run / file for file in NEEDED if (run / file).is_file()), *run.glob("*.csv"))
    path = folder.preprocessing_file
    try:
        seen = json.loads(read_text(path))
        if not isinstance(seen, dict) or not {"channels", "mean", "std", "class_names"} <= seen.keys():
            raise ValueError("it does not say how images are seen")
        path = folder.weights_file
        os.close(open_file(path))
        with safe_open(str(path), "numpy") as weights:
            if "model" not in (weights.metadata() or {}) or not weights.keys():
                raise ValueError("it does not say what network it is of")
    except FileNotFoundError:
        raise UserError(f"{run} has no {path.name}: train it again, or move it elsewhere") from None
    except (OSError, ValueError, RecursionError, SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else printable(error)
        raise UserError(f"{path} is damaged ({reason}): train the run again, or move it elsewhere") from None


def _of_no_machine(file: str, text: str) -> str:
    """Remove the paths of the machine where the run was trained; none of them is part of its identity."""
    if file == "record.json":
        record = Record.from_json(text)
        for key, value in OF_A_MACHINE.items():
            group, _, name = key.rpartition(".")
            part = record.config.get(group, {}) if group else record.config
            if name in part:
                part[name] = value
        return record.to_json()
    if file == "config.yaml":
        text = re.sub(r"\A# python -m resnet_lab\.runs .*\n", "", text)
        for key, value in OF_A_MACHINE.items():
            group, _, name = key.rpartition(".")
            written = "null" if value is None else value
            before = rf"(^{group}:\n(?:  .*\n)*?  )" if group else "(^)"
            text = re.sub(
                rf"{before}{name}: .*(\n +.*)*?$", rf"\g<1>{name}: {written}", text, flags=re.MULTILINE
            )
    return text
