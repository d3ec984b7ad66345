"""Configurations as YAML, each key with what set it: `resnet-lab train --cfg`. Free of torch."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from typing import Any

import yaml
from omegaconf import OmegaConf

from resnet_lab.config.identity import path_of
from resnet_lab.config.origins import DEFAULT
from resnet_lab.config.request import Request
from resnet_lab.errors import printable, unknown

COLUMN = 44  # where what set a key stands, unless its value is longer


def print_configurations(overrides: list[str], part: str | None = None, *, multirun: bool) -> int:
    """Print the configuration of a run, or of each run of a sweep, or one `part`, as recipe or recipe.lr; returns 0.

    Raises UserError for a mistake in the overrides, and a part that no run has.
    """
    request = Request(overrides, multirun=multirun)
    documents = []
    for job, config in request.runs(planned=True).items():
        head = f"# {printable(path_of(config))}\n" if multirun else ""
        lines = _lines(_part(asdict(config), part), request.origin(job, config))
        documents.append(head + _text(lines))
    print("---\n".join(documents), end="")
    return 0


def _text(lines: Iterable[tuple[str, str]]) -> str:
    return "".join(f"{text:<{COLUMN}}{f'  # {by}' if by else ''}".rstrip() + "\n" for text, by in lines)


def _part(config: dict[str, Any], part: str | None, prefix: str = "") -> dict[str, Any]:
    """Return the configuration without all that does not lead to the part; UserError where it has none of that name."""
    if part is None:
        return config
    name, _, rest = part.partition(".")
    if name not in config or (rest and not isinstance(config[name], dict)):
        raise unknown("part of the configuration", f"{prefix}{name}", [f"{prefix}{each}" for each in config])
    return {name: _part(config[name], rest or None, f"{prefix}{name}.") if rest else config[name]}


def _lines(
    tree: dict[str, object], origin: Callable[[str], str], prefix: str = "", depth: int = 0
) -> Iterator[tuple[str, str]]:
    """Yield each line, and what set its key; nothing where that is a default."""
    for key, value in tree.items():
        begin = f"{'  ' * depth}{in_yaml(key)}:"
        if isinstance(value, dict) and value:
            yield begin, ""
            yield from _lines(value, origin, f"{prefix}{key}.", depth + 1)
        else:
            by = origin(f"{prefix}{key}")
            yield f"{begin} {in_yaml(value)}", "" if by == DEFAULT else by


def in_yaml(value: Any) -> str:
    """Return a value in one line, as YAML reads it back."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=float("inf"))
    text = text.removesuffix("\n").removesuffix("\n...")
    return text if "\n" not in text and _read(text) == value else json.dumps(value)


def _read(text: str) -> Any:
    """Read a value as OmegaConf does, for which 1e5 is a number."""
    read = OmegaConf.create(f"it: {text}")
    return OmegaConf.to_container(read)["it"]  # type: ignore[call-overload, index]
