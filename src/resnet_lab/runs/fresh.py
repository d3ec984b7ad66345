"""Runs of the same choices, trained again beside one another: in the folder of the first, and in its -2, -3, …"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from resnet_lab.config.identity import path_of
from resnet_lab.config.schema import TrainConfig
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.record import State
from resnet_lab.runs.recording import of_this_code


def fresh(configs: Sequence[TrainConfig]) -> list[TrainConfig]:
    """Return the configurations to train once more, next to the runs that are finished.

    Each gets one more finished run of this package's present code than the one of them that has the fewest: so all
    begin, and where they were stopped the same call goes on. Raises UserError for a folder that cannot be read.
    """
    finished = [list(_finished(path_of(config))) for config in configs]
    counts = [sum(of_this_code(folder.record()) for folder in folders) for folders in finished]
    chosen = []
    for config, folders, count in zip(configs, finished, counts, strict=True):
        first = path_of(config)
        path = (_beside(first, len(folders) + 1) if count == min(counts) else folders[-1]).path
        chosen.append(config if path == first else replace(config, run_dir=str(path)))
    return chosen


def of_other_code(folder: RunFolder) -> str:
    """What to do about a finished run that this package's present code would make otherwise; "" where it did."""
    if of_this_code(folder.record()):
        return ""
    number = len(list(_finished(folder.path)))
    newer = number > 1 and of_this_code(_beside(folder.path, number).record())
    way = f"that of this code has -{number}" if newer else "train --fresh trains it anew beside it"
    return f"finished by other code of this package; {way}"


def _finished(first: Path) -> Iterator[RunFolder]:
    """The finished ones, up to the first that is not."""
    number = 1
    while (folder := _beside(first, number)).state() == State.FINISHED:
        yield folder
        number += 1


def _beside(first: Path, number: int) -> RunFolder:
    return RunFolder(first if number == 1 else first.with_name(f"{first.name}-{number}"))
