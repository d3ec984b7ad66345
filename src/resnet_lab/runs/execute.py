"""The life of a run: who may train the folder, what is left when it ends. Free of torch until it trains."""

import logging
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from resnet_lab.config.schema import TrainConfig
from resnet_lab.errors import UserError
from resnet_lab.runs import record as records
from resnet_lab.runs.devices import PROGRAM, Place, needs_own_program, place
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.lock import Lock
from resnet_lab.runs.logs import log_to, quieten

log = logging.getLogger(__name__)


def execute(run_dir: Path | str) -> dict[str, Any]:
    """Train what the folder says, from wherever it stands, and return its record.

    A finished run returns at once; one that fails has a record too, with its ``error``. Under several devices
    only the first process has something to return.

    Raises UserError where another process trains this folder or its configuration cannot be read;
    KeyboardInterrupt or SystemExit where a signal ended the run, which the same call then continues.
    """
    folder = RunFolder(run_dir)
    config = folder.config()
    if folder.state() == "finished":
        return folder.record() or {}
    folder.check()
    here = place(config.trainer)
    if needs_own_program(here):
        return _in_own_program(folder)
    if not here.is_first:
        return _accompany(folder, config, here)
    with folder.lock() as lock:
        record = _lead(folder, config, here, lock)
    return folder.record() or record  # a full disk has no room for a record


def _lead(folder: RunFolder, config: TrainConfig, here: Place, lock: Lock) -> dict[str, Any]:
    """The first process, or the only one: trains, leaves the record and returns it."""
    from resnet_lab.runs.failures import describe
    from resnet_lab.runs.signals import Interrupted
    from resnet_lab.runs.train import train

    folder.record_file.unlink(missing_ok=True)  # of an attempt that failed: this one goes on from there
    record = records.opened(config, lock)
    with log_to(folder.log_file):
        try:
            train(folder, config, here, lock, record)
            record = records.closed(record)
            folder.write_record(record)
        except Interrupted as error:
            _tell(folder, str(error))
            if error.number == signal.SIGINT:
                raise KeyboardInterrupt from None
            raise SystemExit(128 + error.number) from None
        except Exception as error:
            failure = describe(error, folder)
            log.exception("the run failed")
            _tell(folder, f"{failure['kind']}: {failure['message']}")
            record = records.closed(record, failure)
            _leave_failed(folder, record)
    return record


def _accompany(folder: RunFolder, config: TrainConfig, here: Place) -> dict[str, Any]:
    """Another process of a run: it trains along and leaves a record only of a failure of its own."""
    from resnet_lab.runs.failures import describe
    from resnet_lab.runs.signals import Interrupted
    from resnet_lab.runs.train import train
    from resnet_lab.training import NonFiniteLoss

    record = records.opened(config, None)
    quieten()
    logging.captureWarnings(True)  # they are those of the first process, which are in log.txt
    try:
        train(folder, config, here, None, record)
    except (Interrupted, NonFiniteLoss):
        pass  # every process stops for these, and the first one tells of it
    except Exception as error:
        failure = describe(error, folder)
        failure["message"] = f"rank {here.rank}: {failure['message']}"
        print(f"{folder.path}: {failure['kind']}: {failure['message']}", file=sys.stderr, flush=True)
        if failure["kind"] != "other":  # what others say of it, as a closed connection, tells less
            _leave_failed(folder, records.closed(record, failure))
        raise
    return {}


def _leave_failed(folder: RunFolder, record: dict[str, Any]) -> None:
    """Write the record of a failure, unless there is one that says more."""
    try:
        before = folder.record()
        if before is None or (before["state"] == "failed" and record["error"]["kind"] != "other"):
            folder.write_record(record)
    except (OSError, UserError):  # the disk is full, or the folder is gone or damaged
        log.exception("the record could not be written")


def _tell(folder: RunFolder, line: str) -> None:
    log.error(line)
    with suppress(OSError):  # in a sweep it goes to log.txt, on a disk that may be full
        print(f"{folder.path}: {line}", flush=True)


def _in_own_program(folder: RunFolder) -> dict[str, Any]:
    """Run the folder's own command line, which Lightning can repeat for each further process."""
    program = subprocess.Popen([sys.executable, "-m", PROGRAM, str(folder.path)])
    with _passing_signals_to(program):
        code = program.wait()
    if code == 128 + signal.SIGINT:
        raise KeyboardInterrupt
    if folder.state() not in ("finished", "failed"):
        raise SystemExit(code)
    return folder.record() or {}


@contextmanager
def _passing_signals_to(program: subprocess.Popen[bytes]) -> Iterator[None]:
    """Ctrl-C reaches both processes, and the run ends by itself; SIGTERM is passed on."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda number, _: program.send_signal(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
