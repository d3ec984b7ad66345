"""One run of W&B, made level with the rows of a run folder: online with a key, else as an offline file."""

import json
import logging
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from resnet_lab.config.schema import LoggerConfig
from resnet_lab.files import read_text, write_text
from resnet_lab.models.stored import checkpoints_in
from resnet_lab.tracking import wandb_answers
from resnet_lab.tracking.account import patience, why_offline
from resnet_lab.tracking.facts import Facts
from resnet_lab.tracking.rows import AXES, Row, seconds_after_start, seconds_of

log = logging.getLogger(__name__)

WEIGHTS = "weights.safetensors"  # in the run folder
NOTE = "wandb.json"  # in the run folder: the id of its run
ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
SYNCED = ".synced"  # how `wandb sync` marks the file that it has sent
SETTINGS: dict[str, Any] = {
    "console": "off",  # log.txt has it
    "silent": True,
    "x_transaction_log_flush_interval": 1.0,  # seconds: at 15, a run killed early leaves nothing
}
ABSENT: dict[str, object] = {  # when syncing later: this machine and its code are not those of the run
    "x_disable_stats": True,
    "x_disable_meta": True,
    "x_save_requirements": False,
    "disable_git": True,
    "disable_code": True,
}
OFTEN = 600.0  # seconds, at least, between two checkpoints that are uploaded
ALERTED = 63  # characters of an alert's title, W&B's limit
LONGEST = 128  # of a name


class WandbRun:
    """Takes rows in their order, each once, whatever the server has of the run already."""

    def __init__(
        self,
        config: LoggerConfig,
        facts: Facts,
        folder: Path,
        pid: int | None = None,
        place: Path | None = None,
    ) -> None:
        """`config` with the environment's part filled in; W&B's files go to `place`/wandb, by default the folder's.

        `pid` trains: its machine is shown, and its use of it, and it is stopped when the run is stopped in W&B. Raises
        whatever W&B raises, where it takes no run at all.
        """
        place = place or folder
        # What artifacts stage until they are sent lies with W&B's other files, not in the user's home.
        os.environ.setdefault("WANDB_DATA_DIR", str((place / "wandb").resolve()))
        if pid is None:
            used = ABSENT | {"host": facts.config.get("host", "")}
        else:
            used = {"x_stats_pid": pid, "stop_fn": partial(_stop, pid), "git_root": str(Path.cwd())}
        self._id = id_of(folder, facts.hash)
        begun = begin(
            config,
            (folder, place),
            self._id,
            used,
            job_type="train",
            name=f"{facts.name}-{self._id.rpartition('-')[2]}"[:LONGEST],
            group=facts.group[:LONGEST],
            tags=facts.tags,
            notes=config.notes,
            config=facts.config,
        )
        self._folder, self._config, self._live = folder, config, pid is not None
        self._run, self.offline, self.refused = begun.run, begun.offline, begun.refused
        self._sent = max(self._run.starting_step - 1, begun.sent)  # rows that W&B has
        self._started = seconds_of(facts.started)
        self._kept, self._kept_at = -1, time.monotonic()  # the checkpoint that was uploaded last, and when
        self._run.define_metric("*", step_metric="iteration")
        self._run.define_metric(facts.objective, step_metric="iteration", summary=facts.mode)
        for name in ("lr", "seconds"):  # of an epoch, and no figures of the run
            self._run.define_metric(name, step_metric="iteration", summary="none")
        for name in AXES:  # charts that tell nothing, but axes of others
            self._run.define_metric(name, hidden=True)

    def level(self, rows: Sequence[Row]) -> int:
        """Tell what W&B lacks of all rows so far; how many that were."""
        lacking = 0
        for step, (row, end) in enumerate(zip(rows, seconds_after_start(rows), strict=True), start=1):
            if step > self._sent:
                self._run.log(row | {"_timestamp": self._started + end}, step=step, commit=True)
                self._sent = step
                lacking += 1
        if time.monotonic() > self._kept_at + OFTEN:
            self._upload_checkpoint()
        return lacking

    def finish(self, facts: Facts) -> None:
        """The final figures, and the end, in bounded time."""
        self._run.config.update(facts.config, allow_val_change=True)
        # The objective has its best there, and each figure stands there once.
        summary = {name: value for name, value in facts.summary.items() if name != facts.objective}
        if facts.error is not None or self._run.summary.get("error"):
            summary["error"] = facts.error
        self._run.summary.update(summary)
        if facts.diverged and self._live:
            self._run.alert(f"{facts.name} diverged"[:ALERTED], facts.error or "", level="ERROR")
        # A server that was lost would keep artifacts waiting; the files are there for the next sync.
        if self.offline is not None or why_offline("auto") is None:
            if facts.error is None:
                self._show(facts)
            else:
                self._upload_checkpoint()
        self._run.finish(exit_code=0 if facts.error is None else 1)

    def _upload_checkpoint(self) -> None:
        """Upload the newest checkpoint where this is asked for: from it, the run can be resumed anywhere."""
        newest = next(iter(checkpoints_in(self._folder / "checkpoints")), None)
        if not self._config.checkpoints or self.offline or newest is None or int(newest.stem) == self._kept:
            return
        try:
            self._run.log_artifact(wandb_answers.checkpoint(self._id, self._folder, newest))
        except Exception:  # it was removed meanwhile, for example
            log.warning("W&B does not get %s", newest, exc_info=True)
        self._kept, self._kept_at = int(newest.stem), time.monotonic()

    def _show(self, facts: Facts) -> None:
        """What the net got wrong, its layers' measurements, and its weights where they are asked for.

        In the summary, which may be written again: a chart that is logged would be a row, and rows are those of
        history.csv. So of `log` only the part is called that makes a table and its place in the configuration of one.
        """
        try:
            for name, table in wandb_answers.tables(self._folder).items():
                self._run.summary[name] = table
            if (chart := wandb_answers.confusion(self._folder)) is not None:
                self._run.summary.update(self._run._serialize_custom_charts({"confusion": chart}))
            if self._config.artifacts:
                self._run.log_artifact(wandb_answers.weights(facts, self._id, self._folder / WEIGHTS))
        except Exception:
            log.warning("W&B does not show what the net of %s gets wrong", self._folder, exc_info=True)


def _stop(pid: int) -> None:
    """Stop the run as SIGTERM does: it writes a checkpoint first."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)


@dataclass(frozen=True)
class Begun:
    """One of W&B's runs."""

    run: Any
    sent: int  # rows that `wandb sync` has sent of it
    offline: str | None  # why; None: it is online
    refused: bool = False  # by a server that could be reached


def begin(
    logger: LoggerConfig, places: tuple[Path, Path], given: str, settings: dict[str, object], **about: Any
) -> Begun:
    """Begin the run of an id, online, or offline where that cannot be; its files are made anew in the second place."""
    import wandb

    about |= {"id": given, "resume": "allow", "reinit": "finish_previous", "dir": str(places[1])}
    about |= {"project": logger.project, "entity": logger.entity}
    start, finish = patience()
    used = wandb.Settings(**{**SETTINGS, **settings, "init_timeout": start, "finish_timeout": finish})
    offline, refused, sent = why_offline(logger.mode), False, clear(given, *places)
    if offline is None:
        try:
            return Begun(wandb.init(**about, mode="online", settings=used), sent, None)
        except Exception as error:
            wandb.teardown()
            log.info("W&B does not accept the run online", exc_info=True)
            offline, refused = one_line(error), True
            clear(given, *places)
    return Begun(wandb.init(**about, mode="offline", settings=used), sent, offline, refused)


def silence() -> None:
    """Let W&B print nothing: what there is to say, we say."""
    os.environ["WANDB_SILENT"] = "true"
    logging.getLogger("wandb").setLevel(logging.CRITICAL)


def close() -> None:
    """Let go of W&B's helper process, which would keep to the server that it was started for."""
    import wandb

    wandb.teardown()


def id_of(folder: Path, hash: str) -> str:
    """Return the id that belongs to a run folder, made once: its identity's hash, and what no other folder has.

    Of a run that an agent of a W&B sweep started, the id that the sweep knows it by.
    """
    note = folder / NOTE
    if os.environ.get("WANDB_SWEEP_ID") and (agents := os.environ.get("WANDB_RUN_ID")):
        write_text(note, json.dumps({"id": agents}) + "\n")
        return agents
    try:
        facts = json.loads(read_text(note))
        if re.fullmatch(r"[\w-]{1,64}", facts["id"]):
            return str(facts["id"])
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError):
        log.warning("%s cannot be read: the run gets a new id", note)
    given = f"{hash}-{''.join(secrets.choice(ALPHABET) for _ in range(5))}"
    write_text(note, json.dumps({"id": given}) + "\n")
    return given


def one_line(error: BaseException) -> str:
    """Return what W&B or its server says of a failure, without the JSON around it."""
    text = str(error) or type(error).__name__
    if messages := re.findall(r'"message"\s*:\s*"((?:[^"\\]|\\.)*)"', text):
        return " ".join(str(messages[0]).split())
    return " ".join(text.split("\n")[0].partition("{")[0].split()).rstrip(" :") or type(error).__name__


def clear(given: str, *places: Path) -> int:
    """Remove W&B's files of the run, broken ones too: the folder has it all, and they are made again.

    How many rows are in those that `wandb sync` has sent, which stay, so that no row is sent twice.
    """
    sent = 0
    for path in {path for place in places for path in place.glob(f"wandb/*run-*-{given}")}:
        if any(path.glob(f"*{SYNCED}")):
            sent = max([sent, *map(_last_step, path.glob("*.wandb"))])
        else:
            shutil.rmtree(path, ignore_errors=True)
    return sent


def _last_step(file: Path) -> int:
    """Return the highest step in a file of W&B's, as far as it can be read."""
    leet = [sys.executable, "-P", "-m", "wandb", "leet", "inspect", "--json", str(file)]
    facts = subprocess.run(leet, capture_output=True, text=True, check=False).stdout
    return max((int(step) for step in re.findall(r'"step":\{"num":(\d+)', facts)), default=0)
