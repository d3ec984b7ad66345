"""The process beside a run that tells its trackers: ``python -m resnet_lab.tracking``, fed by `telling`.

One JSON object a line comes in: where the run lies and what it is, the iteration up to which its rows are certain, how
it ended.
When the one who writes them is gone, what is certain is sent and the trackers are closed.
"""

import json
import logging
import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from resnet_lab.config.schema import LoggerConfig
from resnet_lab.extras import registered
from resnet_lab.tracking.account import NO_KEY, why_offline
from resnet_lab.tracking.facts import Facts
from resnet_lab.tracking.rows import all_rows, rows_to, told_by_one
from resnet_lab.tracking.unsent import note, sent
from resnet_lab.tracking.wandb_run import one_line, silence

SOURCES = Path(__file__).parents[2]
LOOK = 1.0  # seconds between two looks whether the run is still there


def follow(messages: Iterator[dict[str, Any]]) -> None:
    """Tell what the messages say, until they end; a tracker that fails gets no more."""
    first = next(messages)
    sys.argv = first["argv"]  # of the run, as it was typed: W&B shows that of the process that asks it
    program = Path(sys.argv[0])
    if program.is_relative_to(SOURCES) and program.name == "__main__.py":
        program = Path(f"-m {'.'.join(program.parent.relative_to(SOURCES).parts)}")
    os.environ.setdefault("WANDB_PROGRAM", program.name)
    folder = Path(first["folder"])
    try:
        with told_by_one(folder):
            _follow(first, folder, messages)
    except TimeoutError as error:
        _tell(f"{error}: {_later('wandb', folder)}")


def _follow(first: dict[str, Any], folder: Path, messages: Iterator[dict[str, Any]]) -> None:
    config, facts = LoggerConfig(**first["logger"]), Facts(**first["facts"])
    trackers: dict[str, Any] = {}
    for name in config.trackers:
        if (tracker := _open(name, config, facts, folder, first["pid"])) is not None:
            trackers[name] = tracker
    ended, reached = replace(facts, error="the run's process died"), 0
    for message in messages:
        reached = message["iteration"]
        if "facts" in message:
            ended = Facts(**message["facts"])
            break
        _level(trackers, folder, reached)
    _level(trackers, folder, reached)
    for name, tracker in trackers.items():
        lost = why_offline("auto") if name == "wandb" and tracker.offline is None else None
        if lost:
            _lose(name, folder, f"W&B was lost ({lost})")
        try:
            tracker.finish(ended)
        except Exception as error:
            _lose(name, folder, f"{name} could not be closed ({one_line(error)})")
            continue
        if name == "wandb" and not lost and (tracker.offline is None or _is_meant(tracker.offline)):
            sent(folder)


def _is_meant(offline: str) -> bool:
    """Return whether a run is offline as asked, or for want of a key, which is said before it begins."""
    return offline == "as asked" or offline.startswith(NO_KEY)


def _lose(name: str, folder: Path, why: str) -> None:
    """Say once, in the run's output and in its folder, that a tracker does not have everything."""
    if name == "wandb":
        note(folder)
    _tell(f"{why}: {_later(name, folder)}")


def _open(name: str, config: LoggerConfig, facts: Facts, folder: Path, pid: int) -> Any:
    try:
        tracker = registered("tracker")[name](config, facts, folder, pid)
    except Exception as error:
        _lose(name, folder, f"{name} does not accept the run ({one_line(error)})")
        return None
    if tracker.offline is not None:
        if not _is_meant(tracker.offline):
            note(folder)
        _tell(f"W&B is offline ({tracker.offline}): {_later(name, folder)}")
    return tracker


def _level(trackers: dict[str, Any], folder: Path, reached: int | None) -> None:
    """With the rows up to the iteration that a checkpoint knows, None: all; a row after it may be made again."""
    for name, tracker in list(trackers.items()):
        try:
            tracker.level(rows_to(all_rows(folder), reached))
        except Exception as error:
            del trackers[name]
            _lose(name, folder, f"{name} does not accept further rows ({one_line(error)})")


def _later(name: str, folder: Path) -> str:
    return f"resnet-lab sync {folder} sends it" if name == "wandb" else "history.csv has them all"


def _tell(line: str) -> None:
    with suppress(OSError):  # whoever started the run may be gone
        print(line, flush=True)


def from_pipe(descriptor: int, parent: int) -> Iterator[dict[str, object]]:
    """Yield the messages, until the pipe is closed or the parent is gone: its loaders may hold the pipe open."""
    buffer = b""
    while True:
        if not select.select([descriptor], [], [], LOOK)[0]:
            if os.getppid() != parent:
                return
            continue
        if not (read := os.read(descriptor, 65536)):
            return
        *lines, buffer = (buffer + read).split(b"\n")
        yield from map(json.loads, lines)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the run says when it is over
    os.nice(5)  # training goes first
    silence()
    logging.basicConfig(stream=sys.stderr, level=logging.CRITICAL)
    follow(from_pipe(0, os.getppid()))
