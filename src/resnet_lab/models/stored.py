"""Which files of a run folder hold its weights. Free of torch."""

import re
from pathlib import Path

from resnet_lab.files import digest_of, read_json


def weights_in_run(folder: Path) -> list[Path]:
    """Return the tested weights of a finished run; of another run its checkpoints, the newest first.

    Empty where the folder holds neither. A checkpoint is named after its iteration, 00000270.ckpt.
    """
    tested = folder / "weights.safetensors"
    if _finished(folder) and tested.is_file():
        return [tested]
    return checkpoints_in(folder / "checkpoints")


def is_as_left(tested: Path) -> bool:
    """Return whether the tested weights of a run are those that its record tells of, where it does."""
    try:
        files = read_json(tested.parent / "record.json").get("files") or {}
        return files.get(tested.name) in (None, digest_of(tested))
    except (OSError, ValueError, AttributeError):
        return True  # there is no run around it


def checkpoints_in(folder: Path) -> list[Path]:
    """Return the files that are named after an iteration, the newest first; what else lies there is none of a run's."""
    named = (path for path in folder.glob("[0-9]*.ckpt") if re.fullmatch(r"\d{8,}\.ckpt", path.name))
    return sorted(named, key=lambda path: int(path.stem), reverse=True)


def _finished(run: Path) -> bool:
    try:
        record = read_json(run / "record.json")
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and record.get("state") == "finished"
