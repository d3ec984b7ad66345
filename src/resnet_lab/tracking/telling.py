"""A run hands its rows to trackers in a process beside it: they cost it no time, and never the run."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path

from resnet_lab.config.schema import LoggerConfig, TrainConfig
from resnet_lab.cores import COMMAND, IN_SWEEP
from resnet_lab.errors import UserError
from resnet_lab.runs.record import Record
from resnet_lab.tracking.account import from_environment, patience
from resnet_lab.tracking.facts import Facts, facts_of
from resnet_lab.tracking.unsent import note

GRACE = 10.0  # seconds more, to start and to end


class Teller:
    """Says up to which iteration the rows of history.csv are certain, and waits for nobody."""

    def __init__(self, config: LoggerConfig, folder: Path, facts: Facts) -> None:
        self._reached = 0
        self._patience = sum(patience()) + GRACE
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "resnet_lab.tracking"],
            stdin=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # Ctrl-C is for the run
        )
        assert self._process.stdin is not None
        self._pipe = self._process.stdin
        first = {"logger": asdict(config), "folder": str(folder), "facts": asdict(facts), "pid": os.getpid()}
        first["argv"] = json.loads(os.environ.get(COMMAND, "null")) or sys.argv
        if "wandb" in config.trackers:
            note(folder, self._process.pid)
        self._send(first)
        os.set_blocking(self._pipe.fileno(), False)

    def reached(self, iteration: int) -> None:
        """The rows of history.csv up to this iteration will not change."""
        self._reached = iteration
        self._send({"iteration": iteration})

    def end(self, facts: Facts, *, complete: bool) -> None:
        """Tell the end, `complete`: all rows are certain, and wait for what is still under way, but not for ever."""
        last = _line({"iteration": None if complete else self._reached, "facts": asdict(facts)})
        if IN_SWEEP in os.environ:  # the sweep waits for it, and the slot is free
            os.set_blocking(self._pipe.fileno(), True)
            with suppress(BrokenPipeError):
                self._pipe.write(last)
                self._pipe.close()
            return
        try:
            self._process.communicate(last, timeout=self._patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _send(self, message: dict[str, object]) -> None:
        # Full: the next message says as much. Broken: the process has reported why it is gone.
        with suppress(BlockingIOError, BrokenPipeError):
            self._pipe.write(_line(message))


def _line(message: dict[str, object]) -> bytes:
    return json.dumps(message).encode() + b"\n"


@contextmanager
def telling(
    config: TrainConfig, folder: Path, record: Callable[[], Record]
) -> Iterator[Callable[[int], None] | None]:
    """Tell trackers of a run: what says up to which iteration its rows are certain; None if there is no tracker.

    `record` is asked again at the end. Raises UserError where a tracker's package is missing or the environment is
    wrong.
    """
    logger = config.logger
    if "wandb" in logger.trackers:
        logger = from_environment(logger)
    if not logger.trackers:
        yield None
        return
    if "tensorboard" in logger.trackers and find_spec("tensorboard") is None:
        raise UserError("logger=tensorboard needs a package: pip install 'resnet-lab[tensorboard]'")

    def facts() -> Facts:
        return facts_of(config, record(), folder, socket.gethostname())

    teller = Teller(logger, folder, facts())
    try:
        yield teller.reached
    except BaseException as error:
        diverged = isinstance(error, ArithmeticError)  # as NonFiniteLoss and NonFiniteWeights are
        ended = replace(facts(), error=str(error) or type(error).__name__, diverged=diverged)
        teller.end(ended, complete=False)
        raise
    teller.end(facts(), complete=True)
