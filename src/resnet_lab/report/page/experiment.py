"""What an experiment asks, and how it is started: the comment at the head of its file. Standard library only."""

import re
from collections.abc import Sequence

from resnet_lab.config.groups import config_dir, own_dirs
from resnet_lab.files import read_text

COMMAND = "resnet-lab train -m experiment="


def command_and_question(names: Sequence[str]) -> tuple[str, str]:
    """Return the command and the question of the runs' experiment; empty if several, or its file is missing."""
    distinct = set(names)
    if len(distinct) != 1:
        return "", ""
    (name,) = distinct
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)*", name) or ".." in name:
        return "", ""
    for root in (*own_dirs(), config_dir()):
        try:
            text = read_text(root / "experiment" / f"{name}.yaml")
        except (OSError, ValueError):
            continue
        return f"{COMMAND}{name}", _question(text)
    return "", ""


def _question(text: str) -> str:
    """The comment below the command, but for what it says of the cost."""
    head = [line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#")]
    said = [line for line in head if line and not line.startswith(("@package", "resnet-lab ", "Cost:"))]
    return " ".join(said)
