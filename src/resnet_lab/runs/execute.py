"""The life of a run: who may train the folder, what is left when it ends. Free of torch until it trains."""

import logging
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from resnet_lab.config.schema import TrainConfig
from resnet_lab.cores import share_of
from resnet_lab.errors import NamedFailure, UserError
from resnet_lab.runs.devices import Process, check, counted, forget_ranks, this_process
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.lock import Lock
from resnet_lab.runs.logs import log_to, quieten
from resnet_lab.runs.ranks import run_ranks
from resnet_lab.runs.record import Failure, Record, State
from resnet_lab.runs.recording import closed, leave, opened
from resnet_lab.runs.signals import Interrupted
from resnet_lab.runs.successors import of_other_code

log = logging.getLogger(__name__)


def execute(run_dir: Path | str) -> Record | None:
    """Train what the folder says, from wherever it stands, and return its record.

    A finished run returns at once; one that fails has a record too, with its ``error``. Under several devices
    only the first process has something to return.

    Raises UserError where another process trains this folder or its configuration cannot be read;
    KeyboardInterrupt or SystemExit where a signal ended the run, which the same call then continues.
    """
    folder = RunFolder(run_dir)
    config = folder.config()
    if folder.state() == State.FINISHED:
        if remark := of_other_code(folder):
            print(f"resnet-lab: {folder.path} was {remark}", file=sys.stderr)
        return folder.record()
    folder.check()
    config = replace(config, trainer=counted(config.trainer))
    here = this_process(config.trainer)
    if here.started_by == "nobody":
        forget_ranks()
        if here.nodes > 1:
            raise UserError(_how_to_start(folder, here))
        if here.devices > 1:
            check(config.trainer, config.precision)
            return _on_ranks(folder, config, here)
    os.environ |= share_of(here.devices if here.started_by == "torchrun" else 1)
    if not here.is_first:
        return _accompany(folder, config, here)
    with folder.lock() as lock:
        record = _lead(folder, config, here, lock)
    return folder.record() or record  # a full disk has no room for a record


def _lead(folder: RunFolder, config: TrainConfig, here: Process, lock: Lock) -> Record | None:
    """Train as the first process, or the only one; leave the record and return it."""
    from resnet_lab.runs.assemble import put_together
    from resnet_lab.runs.failures import describe
    from resnet_lab.runs.train import train

    folder.record_file.unlink(missing_ok=True)  # of an attempt that failed: this one goes on from there
    record = opened(config, lock.first_started, lock.attempt)
    with log_to(folder.log_file):
        try:
            parts = put_together(folder, config, lock)
            record = leave(folder, config, parts.described(record))
            record = closed(train(folder, config, here, parts, record))
            folder.write_record(record)
        except Interrupted as error:
            _tell(folder, str(error))
            if error.number == signal.SIGINT:
                raise KeyboardInterrupt from None
            raise SystemExit(128 + error.number) from None
        except (Exception, SystemExit) as error:
            if isinstance(error, SystemExit) and error.code:  # a launcher's, which ends the process
                raise
            failure = describe(error, folder)
            log.exception("the run failed")
            _tell(folder, f"{failure.kind}: {failure.message}")
            record = closed(record, failure)
            _leave_failed(folder, record)
    return record


def _accompany(folder: RunFolder, config: TrainConfig, here: Process) -> Record | None:
    """Train along as another process of a run, and leave a record only of a failure of its own."""
    from resnet_lab.runs.assemble import put_together
    from resnet_lab.runs.failures import describe
    from resnet_lab.runs.train import train
    from resnet_lab.training import NonFiniteLoss

    record = opened(config)
    quieten()
    logging.captureWarnings(True)  # they are those of the first process, which are in log.txt
    try:
        parts = put_together(folder, config, None)
        record = parts.described(record)
        train(folder, config, here, parts, record)
    except (Interrupted, NonFiniteLoss, NamedFailure):
        return None  # every process stops for these, and the first one says so
    except (Exception, SystemExit) as error:
        if isinstance(error, SystemExit) and error.code:
            raise
        failure = describe(error, folder)
        failure.message = f"rank {here.rank}: {failure.message}"
        if failure.kind != "user_error":  # which every process meets, and the first one prints
            print(f"{folder.path}: {failure.kind}: {failure.message}", file=sys.stderr, flush=True)
        with log_to(folder.log_file):
            log.exception("rank %d failed", here.rank)
        # Once the first process is gone, others only see that, for example, a connection was closed.
        if failure.kind != "other" or folder.state() == State.RUNNING:
            _leave_failed(folder, closed(record, failure))
        raise SystemExit(1) from None
    return None


def _leave_failed(folder: RunFolder, record: Record) -> None:
    """Write the record of a failure, unless there is one that says more."""
    try:
        before = folder.record()
        if before is None or (before.state == State.FAILED and record.error and record.error.kind != "other"):
            folder.write_record(record)
    except (OSError, UserError):  # the disk is full, or the folder is gone or damaged
        log.exception("the record could not be written")


def _tell(folder: RunFolder, line: str) -> None:
    log.error(line)
    print(f"{folder.path}: {line}", flush=True)


def _on_ranks(folder: RunFolder, config: TrainConfig, here: Process) -> Record | None:
    """Start a process per device; this one trains nothing, and records what killed one of them."""
    code, killed = run_ranks(folder, here.devices)
    if killed and folder.state() in (State.INTERRUPTED, State.FAILED):
        record = folder.record() or opened(config)
        folder.write_record(closed(record, Failure("killed", killed)))
        with log_to(folder.log_file):
            _tell(folder, killed)
    if code == 128 + signal.SIGINT:
        raise KeyboardInterrupt
    if folder.state() not in (State.FINISHED, State.FAILED):
        raise SystemExit(code or 1)
    return folder.record()


def _how_to_start(folder: RunFolder, here: Process) -> str:
    return (
        f"trainer.num_nodes={here.nodes}: one process does not reach the other nodes; start on each of them"
        f" `torchrun --nnodes={here.nodes} --nproc-per-node={here.devices} --rdzv-backend=c10d"
        f" --rdzv-endpoint=FIRST_NODE:29500 -m resnet_lab.runs {folder.path}`,"
        " or use `train -m … hydra/launcher=slurm`"
    )
