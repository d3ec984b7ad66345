"""What plans measured of nets on this machine, kept for later plans. Free of torch.

One file in the user's cache, by machine (its processor, cores, GPUs and PyTorch's version) and by what was measured.
Removing the file measures anew.
"""

import json
import os
import platform
import re
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from resnet_lab.cores import cores
from resnet_lab.files import cache_folder, read_json, write_text
from resnet_lab.models.net_config import NetConfig

Figures = dict[str, Any]


def file() -> Path:
    return cache_folder() / "plan.json"


class Kept:
    """Figures by what they are of; measured where they are not there."""

    def __init__(self) -> None:
        self._here = _read().get(machine(), {})
        self.anew: set[str] = set()  # what this plan measured

    def get(self, what: str, net: NetConfig, *rest: Any) -> Figures | None:
        """Return what is kept; None where nothing is."""
        return self._here.get(_key(what, net, *rest))

    def or_measured(self, measure: Callable[[], Figures], what: str, net: NetConfig, *rest: Any) -> Figures:
        """Return what is kept, or else what is measured now, and written at once."""
        if (found := self.get(what, net, *rest)) is not None:
            return found
        found = self._here[_key(what, net, *rest)] = measure()
        self.anew.add(what)
        every = _read()  # what another plan wrote meanwhile stays
        every[machine()] = every.get(machine(), {}) | self._here
        try:
            file().parent.mkdir(parents=True, exist_ok=True)
            write_text(file(), json.dumps(every, indent=1, sort_keys=True) + "\n")
        except OSError:
            pass  # measured again next time
        return found


def _key(what: str, net: NetConfig, *rest: Any) -> str:
    return " ".join([what, *map(str, rest), json.dumps(asdict(net), sort_keys=True, default=str)])


@cache
def machine() -> str:
    """Return words that tell machines apart on which the same net takes another time."""
    drivers = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    gpus = [name for each in drivers for name in _named("Model", each)]
    [processor, *_] = [*_named("model name", Path("/proc/cpuinfo")), platform.machine()]
    words = [processor, f"{cores()} cores", *gpus, f"torch {version('torch')}"]
    if (chosen := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        words.append(f"CUDA_VISIBLE_DEVICES={chosen}")
    return ", ".join(words)


def _named(key: str, file: Path) -> list[str]:
    """Return the values of a key in a file of the system, for example of ``Model: NVIDIA A100``."""
    try:
        return re.findall(rf"^{key}\s*:\s*(.*?)\s*$", file.read_text(), re.MULTILINE)
    except OSError:
        return []


def _read() -> dict[str, dict[str, Figures]]:
    try:
        every = read_json(file())
        return {name: dict(found) for name, found in every.items()}
    except (OSError, ValueError, TypeError, AttributeError):  # it is not there, or damaged
        return {}
