"""Where metrics go beside history.csv. A logger that fails never costs a run."""

import logging
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dotenv import dotenv_values
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger

from resnet_lab.config.schema import LoggerConfig
from resnet_lab.errors import UserError

log = logging.getLogger(__name__)

PROJECT = "resnet-lab"  # of W&B, where nothing names another
SECONDS_TO_REACH = 5.0  # W&B's server, before it is asked for a run
SECONDS_TO_START = float(os.environ.get("WANDB_INIT_TIMEOUT", 30))
SECONDS_TO_FINISH = float(os.environ.get("WANDB_FINISH_TIMEOUT", 60))


@contextmanager
def open_loggers(config: LoggerConfig, folder: Path, record: dict[str, Any]) -> Iterator[list[Logger]]:
    """The loggers of a run folder, closed as finished or as failed; `record` tells them what the run is."""
    loggers = _build(config, folder, record)
    try:
        yield loggers
    except BaseException as error:
        _finish(loggers, record, str(error) or type(error).__name__)
        raise
    _finish(loggers, record, None)


def _build(config: LoggerConfig, folder: Path, record: dict[str, Any]) -> list[Logger]:
    if config.name == "tensorboard":
        if find_spec("tensorboard") is None and find_spec("tensorboardX") is None:
            raise UserError("logger=tensorboard needs a package: pip install tensorboard")
        return [TensorBoardLogger(folder, name="", version="tensorboard")]
    if config.name == "wandb":
        config = from_environment(config, Path(".env"))
        return [] if config.mode == "disabled" else [Wandb(config, folder, record)]
    return []


def _finish(loggers: list[Logger], record: dict[str, Any], error: str | None) -> None:
    for logger in loggers:
        if isinstance(logger, Wandb):
            logger.finish(record, error)


class Wandb(WandbLogger):
    """A W&B run that belongs to the folder: started again, the same run goes on.

    Offline without a key and when the server cannot be reached, so nothing ever waits at a prompt; then
    `wandb sync RUN_DIR/wandb/offline-run-*` sends it later.
    """

    def __init__(self, config: LoggerConfig, folder: Path, record: dict[str, Any]) -> None:
        """`config` with the environment's part filled in."""
        import wandb

        common: dict[str, Any] = {
            "project": config.project,
            "entity": config.entity,
            "dir": str(folder),
            "id": f"{record['experiment'].replace('/', '-')}-{record['hash']}",
            "resume": "allow",
            "group": record["experiment"],
            "name": f"{record['label']}-s{record['seed']}",
            "job_type": "train",
            "tags": [record["data"]["name"], record["model"]["kind"], *config.tags],
            "config": record["config"] | {"environment": record["environment"]},
        }
        settings: dict[str, Any] = {
            "init_timeout": SECONDS_TO_START,
            "finish_timeout": SECONDS_TO_FINISH,
            "console": "off",  # log.txt has it
            "silent": True,
        }
        common["tags"] = [tag[:64] for tag in common["tags"]]  # W&B's limit
        reason = why_offline(config.mode)
        run = None
        if reason is None:
            try:
                run = wandb.init(**common, mode="online", settings=wandb.Settings(**settings))
            except Exception as error:
                wandb.teardown()
                reason = str(error).splitlines()[0]
        if run is None:
            print(f"W&B is offline ({reason}): wandb sync {folder / 'wandb'}/offline-run-*", flush=True)
            run = wandb.init(**common, mode="offline", settings=wandb.Settings(**settings))
        super().__init__(experiment=run)
        run.define_metric("trainer/global_step")
        run.define_metric("*", step_metric="trainer/global_step")
        self._lost = False

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        if self._lost:
            return
        try:
            super().log_metrics(metrics, step)
        except Exception:
            self._lost = True
            log.warning("W&B takes no more metrics; history.csv has them all", exc_info=True)

    def finish(self, record: dict[str, Any], error: str | None) -> None:
        """Write the summary and close the run, within SECONDS_TO_FINISH, whatever W&B says."""
        try:
            summary = {name: record["model"][name] for name in ("parameters", "multiply_adds", "layers")}
            summary |= {f"last/{name}": value for name, value in (record["last"] or {}).items()}
            summary |= {f"best/{name}": value for name, value in (record["best"] or {}).items()}
            if error is not None:
                summary["error"] = error
            self.experiment.summary.update(summary)
            self.experiment.finish(exit_code=0 if error is None else 1)
        except Exception:
            log.warning("W&B could not be closed", exc_info=True)


def from_environment(config: LoggerConfig, file: Path) -> LoggerConfig:
    """The same with what WANDB_PROJECT, WANDB_ENTITY and WANDB_MODE say of what it leaves open.

    W&B's variables of the `file` (a .env) count as the environment's, which has the last word over them.
    """
    try:
        given = dotenv_values(file)
    except (OSError, UnicodeDecodeError):
        given = {}
        log.warning("%s cannot be read", file, exc_info=True)
    for name, value in given.items():
        if name.startswith("WANDB_") and value:
            os.environ.setdefault(name, value)
    mode = os.environ.get("WANDB_MODE", "")
    known = {"offline": "offline", "dryrun": "offline", "disabled": "disabled"}  # any other: as without it
    return replace(
        config,
        project=config.project or os.environ.get("WANDB_PROJECT") or PROJECT,
        entity=config.entity or os.environ.get("WANDB_ENTITY"),
        mode=known.get(mode, config.mode) if config.mode == "auto" else config.mode,
    )


def why_offline(mode: str) -> str | None:
    """Why the run cannot or should not be online; None: it can."""
    import wandb

    if mode == "offline":
        return "as asked"
    address = urlsplit(wandb.setup().settings.base_url)  # of the environment, or of its files
    if not _has_key(address.netloc):
        return "no key: set WANDB_API_KEY, in .env for example"
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")):
        return None  # the proxy decides; starting the run is bounded too
    port = address.port or (80 if address.scheme == "http" else 443)
    try:
        socket.create_connection((address.hostname or "", port), SECONDS_TO_REACH).close()
    except OSError as error:
        return f"cannot reach {address.hostname}: {error.strerror or error}"
    return None


def _has_key(host: str) -> bool:
    """Whether W&B will find credentials where it looks for them; it is not asked, since it might prompt."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    path = os.environ.get("NETRC") or Path.home() / ".netrc"  # where `wandb login` writes it
    try:
        found = netrc(path).authenticators(host)
    except (OSError, NetrcParseError):
        return False
    return found is not None and bool(found[2])
