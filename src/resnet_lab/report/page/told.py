"""Values and texts as they go into a page. Free of torch."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resnet_lab.errors import printable
from resnet_lab.files import tail

LINES = 8  # of a log


def rounded(value: Any) -> Any:
    """As JSON has it: six digits of a number, as in the CSV files, and null for none."""
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        short = float(f"{value:.6g}")
        return int(short) if short.is_integer() and abs(short) < 1e15 else short
    if isinstance(value, Mapping):
        return {str(key): rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each) for each in value]
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def ended_with(log: Path) -> str:
    """The last lines of a log; empty where there is none."""
    lines = [printable(line)[:300] for line in tail(log).splitlines() if line.strip()]
    return "\n".join(lines[-LINES:])
