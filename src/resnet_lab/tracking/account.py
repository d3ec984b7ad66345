"""Which W&B project and account, and why a run is offline. Imports nothing of W&B's: asking takes no time."""

import configparser
import os
import re
import socket
from dataclasses import replace
from netrc import NetrcParseError, netrc
from pathlib import Path
from urllib.parse import urlsplit

from dotenv import dotenv_values

from resnet_lab.config.schema import LoggerConfig
from resnet_lab.errors import UserError, unknown
from resnet_lab.fields import check
from resnet_lab.files import expanded

ENV = Path(".env")
PROJECT = "resnet-lab"  # of W&B, where nothing names another
SERVER = "https://api.wandb.ai"
NO_KEY = "no key"
SECONDS_TO_REACH = 5.0  # the server, before it is asked for a run
MODES = {  # of WANDB_MODE -> logger.mode
    **{"online": "auto", "run": "auto", "shared": "auto"},
    **{"offline": "offline", "dryrun": "offline", "disabled": "disabled"},
}


def from_environment(config: LoggerConfig) -> LoggerConfig:
    """Fill in what the configuration leaves open from WANDB_PROJECT, WANDB_ENTITY and WANDB_MODE.

    W&B's variables of the file .env count as the environment's, which has the last word over them. Raises UserError
    for a file that cannot be read, and for a name or a mode that W&B does not take.
    """
    try:
        given = dotenv_values(ENV)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UserError(f"{ENV} cannot be read: {reason}") from None
    for name, value in given.items():
        if name.startswith("WANDB_") and value:
            os.environ.setdefault(name, value)
    project, entity = (os.environ.get(f"WANDB_{name}") or None for name in ("PROJECT", "ENTITY"))
    check(LoggerConfig(project=project, entity=entity), "the environment gives logger.")
    mode = os.environ.get("WANDB_MODE") or "online"
    if mode not in MODES:
        raise unknown("WANDB_MODE", mode, MODES)
    return replace(
        config,
        project=config.project or project or PROJECT,
        entity=config.entity or entity,
        mode=MODES[mode] if config.mode == "auto" else config.mode,
    )


def patience() -> tuple[float, ...]:
    """Seconds that a server may take to take a run, and may keep its end waiting. Raises UserError."""
    usual = {"WANDB_INIT_TIMEOUT": "30", "WANDB_FINISH_TIMEOUT": "60"}
    found = {variable: os.environ.get(variable) or seconds for variable, seconds in usual.items()}
    for variable, given in found.items():
        if not re.fullmatch(r"\d+(\.\d*)?", given) or not float(given):
            raise UserError(f"{variable}={given}: must be a number of seconds greater than 0")
    return tuple(map(float, found.values()))


def why_offline(mode: str) -> str | None:
    """Return why a run cannot or should not be online; None: it can."""
    if mode == "offline":
        return "as asked"
    address = urlsplit(_server())
    if not _has_key(address.netloc):
        return f"{NO_KEY}: set WANDB_API_KEY, in .env for example"
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")):
        return None  # the proxy decides; starting the run is bounded too
    try:
        port = address.port or (80 if address.scheme == "http" else 443)
        socket.create_connection((address.hostname or "", port), SECONDS_TO_REACH).close()
    except (OSError, ValueError) as error:
        return f"cannot reach {address.hostname}: {getattr(error, 'strerror', None) or error}"
    return None


def _server() -> str:
    """Return the address of W&B's server, from the environment or the settings that `wandb login` writes."""
    if given := os.environ.get("WANDB_BASE_URL"):
        return given
    home = expanded(os.environ.get("WANDB_CONFIG_DIR") or "~/.config/wandb")
    settings = configparser.ConfigParser(interpolation=None)
    try:
        settings.read([home / "settings", Path("wandb") / "settings"])
    except (configparser.Error, UnicodeDecodeError):
        return SERVER
    return settings.get("default", "base_url", fallback=SERVER)


def _has_key(host: str) -> bool:
    """Return whether W&B will find credentials where it looks for them; it is not asked, since it might prompt."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    given = os.environ.get("NETRC")
    try:
        found = netrc(expanded(given) if given else None).authenticators(
            host
        )  # where `wandb login` writes it
    except (OSError, NetrcParseError):
        return False
    return found is not None and bool(found[2])
