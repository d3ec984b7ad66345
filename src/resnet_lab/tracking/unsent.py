"""What W&B lacks of runs: a note in the folder of each, which goes once everything is there, and what a sweep says."""

import os
import shlex
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from resnet_lab.config.identity import path_of
from resnet_lab.config.schema import LoggerConfig, TrainConfig
from resnet_lab.errors import UserError, several
from resnet_lab.files import read_text, write_text
from resnet_lab.tracking.account import NO_KEY, from_environment, patience, why_offline

NOTE = "wandb-unsent.txt"  # in the run folder
LOOK = 0.2  # seconds between two looks
NOBODY = 0  # who sends what was lost, until the next sync


def note(folder: Path, sender: int = NOBODY) -> None:
    """Say that W&B does not have everything of a run, and which process is sending it."""
    write_text(folder / NOTE, f"{sender}\n")


def sent(folder: Path) -> None:
    """Take the note back."""
    (folder / NOTE).unlink(missing_ok=True)


def before(configs: Sequence[TrainConfig]) -> Iterator[str]:
    """Yield once why runs will be offline.

    Raises UserError where they are to be online and there is no key, or the environment is wrong.
    """
    asked: list[LoggerConfig] = []  # the runs of a sweep share one
    for config in configs:
        if "wandb" not in config.logger.trackers or config.logger in asked:
            continue
        asked.append(config.logger)
        patience()
        mode = from_environment(config.logger).mode
        reason = why_offline(mode) if mode != "disabled" else None
        if reason is not None and reason.startswith(NO_KEY) and mode == "online":
            raise UserError(f"logger.mode=online: {reason}, or leave logger.mode out to send the runs later")
        if reason is not None:
            place = shlex.quote(str(path_of(config).parent))
            yield f"W&B is offline ({reason}): resnet-lab sync {place} sends the runs"
            return


def lost(folders: Sequence[Path], *, wait: bool = False) -> Iterator[str]:
    """Yield of how many of these runs W&B lacks something, and what sends it.

    `wait`: until nobody sends any more, or for as long as a server may take; what is still under way is lacking then.
    """
    deadline = time.monotonic() + (sum(patience()) if wait else 0)
    while any((noted := _noted(folders)).values()) and time.monotonic() < deadline:
        time.sleep(LOOK)
    lacking = [folder for folder, sending in noted.items() if wait or not sending]
    if lacking:
        roots = " ".join(shlex.quote(root) for root in sorted({str(folder.parent) for folder in lacking}))
        verb = "is" if len(lacking) == 1 else "are"
        yield f"{len(lacking)} of {several(len(folders), 'run')} {verb} not in W&B: resnet-lab sync {roots}"


def ended(configs: Sequence[TrainConfig]) -> Iterator[str]:
    """Yield what W&B lacks of a sweep that has ended, and send it the results, with an alert."""
    shown = [config for config in configs if "wandb" in config.logger.trackers]
    folders = [path_of(config) for config in shown]
    yield from lost(folders, wait=True)
    if shown:
        from resnet_lab.tracking.wandb_sweep import tell_end

        tell_end(shown[0].logger, folders)


def _noted(folders: Iterable[Path]) -> dict[Path, bool]:
    """Return the run folders with a note, and whether the process that it names is sending what W&B lacks."""
    found = {}
    for folder in folders:
        try:
            found[folder] = _alive(int(read_text(folder / NOTE)))
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            found[folder] = False
    return found


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return pid > 0
