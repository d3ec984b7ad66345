"""What plans measured of nets on this machine, kept for later plans. Free of torch.

One file in the user's cache; an entry is of a machine (its processor, cores, GPUs, and PyTorch's version), a net, what
it sees, and for its seconds the precision. Removing the file measures anew.
"""

import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from resnet_lab.cores import cores
from resnet_lab.files import cache_folder, read_text, write_text
from resnet_lab.models.net_config import NetConfig

Figures = dict[str, Any]


def file() -> Path:
    return cache_folder() / "plan.json"


class Kept:
    """Figures by what they are of; measured where they are not there."""

    def __init__(self) -> None:
        self._every = _read()
        self._here: dict[str, Figures] = self._every.setdefault(machine(), {})
        self.taken: set[str] = set()  # what was there
        self.measured: set[str] = set()

    def get(self, what: str, net: NetConfig, *rest: Any) -> Figures | None:
        """What is kept; None where nothing is."""
        found = self._here.get(key_of(what, net, *rest))
        return found if isinstance(found, dict) else None

    def or_measured(self, measure: Callable[[], Figures], what: str, net: NetConfig, *rest: Any) -> Figures:
        """What is kept, or else what is measured now, and written at once."""
        key = key_of(what, net, *rest)
        if (found := self.get(what, net, *rest)) is not None:
            if key not in self.measured:
                self.taken.add(key)
            return found
        self._here[key] = measure()
        self.measured.add(key)
        self._write()
        return self._here[key]

    def count(self, what: str, keys: set[str]) -> int:
        return sum(key.startswith(f"{what} ") for key in keys)

    def _write(self) -> None:
        """What another plan wrote meanwhile stays; a cache that cannot be written is no reason to fail."""
        every = _read()
        every.setdefault(machine(), {}).update(self._here)
        try:
            file().parent.mkdir(parents=True, exist_ok=True)
            write_text(file(), json.dumps(every, indent=1, sort_keys=True) + "\n")
        except OSError:
            return


def key_of(what: str, net: NetConfig, *rest: Any) -> str:
    said = json.dumps(asdict(net), sort_keys=True, default=str)
    return " ".join([what, *map(str, rest), said])


@cache
def machine() -> str:
    """In words that tell machines apart on which the same net takes another time."""
    words = [_processor(), f"{cores()} cores", *_gpus(), f"torch {version('torch')}"]
    if (chosen := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        words.append(f"CUDA_VISIBLE_DEVICES={chosen}")
    return ", ".join(words)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _gpus() -> list[str]:
    """Return the GPUs' names as NVIDIA's driver reports them."""
    found = []
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        try:
            lines = path.read_text().splitlines()
        except OSError:
            continue
        found += [line.partition(":")[2].strip() for line in lines if line.startswith("Model")]
    return found


def _read() -> dict[str, dict[str, Figures]]:
    try:
        every = json.loads(read_text(file()))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(every, dict):
        return {}
    return {name: found for name, found in every.items() if isinstance(found, dict)}
