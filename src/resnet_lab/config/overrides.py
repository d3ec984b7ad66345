"""What was typed, as Hydra is to take it: text stays text, ~ is the home, and what has no effect is refused.

Free of torch.
"""

import re
import shlex
from collections.abc import Iterable
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any, get_args, get_origin

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override
from hydra.errors import HydraException

from resnet_lab.config.groups import groups
from resnet_lab.config.schema import ALL, TrainConfig
from resnet_lab.errors import UserError, listed, unknown
from resnet_lab.fields import check_unicode, keys

# Of Hydra's own keys a run or a sweep reads these; of the others, what does what they promise elsewhere.
HYDRA = ("hydra/launcher", "hydra/sweeper", "hydra.launcher", "hydra.sweeper")
DEEPEST = 32  # brackets in brackets that a value may have
INSTEAD = {
    "hydra.searchpath": "--config-dir DIR, with any command, is where configurations are looked for first",
    "hydra.run": "a run's folder is run_dir=…, or lies in runs_root=…",
    "hydra.sweep": "a sweep's runs lie in runs_root=…",
    "hydra.job": "a run keeps the working folder, and takes its name from name=…",
    "hydra.mode": "-m is for sweeps",
    "hydra.verbose": "log.txt in the run folder tells everything",
    "hydra.output_subdir": "the configuration is config.yaml in the run folder",
}


def read(overrides: Iterable[str]) -> list[str]:
    """Return the overrides in the form that Hydra takes. Reading the result again changes nothing.

    Raises UserError for what is outside Hydra's grammar, with the quoting that would do, and for what it takes
    and nothing here reads: hydra.run.dir, ~logger, logger=null.
    """
    return [text for override in overrides for text in _one_logger(_read(override))]


def parse(overrides: Iterable[str], loader: ConfigLoader | None = None) -> list[Override]:
    """Overrides in Hydra's grammar, `loader` for a glob among them; UserError when one does not follow it."""
    parsed = []
    for override in overrides:
        try:
            parsed += OverridesParser.create(loader).parse_overrides([override])
        except (HydraException, ValueError) as error:
            raise _outside_the_grammar(override, error) from None
    return parsed


def text_of(override: Override) -> str:
    """Return an override as it was parsed."""
    assert override.input_line is not None
    return override.input_line


def _read(text: str) -> str:
    check_unicode(*text.partition("=")[::2])
    if _depth(text) > DEEPEST:
        raise UserError(f"{text.partition('=')[0]} is nested {_depth(text)} deep: at most {DEEPEST}")
    text = re.sub(r"(?<=[=,\[])~[^/,\]]*(?=[/,\]]|$)", lambda match: str(_home(match[0])), text)
    [override] = parse([text])
    key, value = override.key_or_group, override.value()
    if not key:
        raise _no_override(text)
    if override.is_delete():
        raise UserError(f"{text}: a run needs each of its parts; choose another one, for example logger=csv")
    if override.is_hydra_override():
        _check_hydra(key)
    if key in groups():
        _check_options(key, value)
        return text.lstrip("+")
    if _hints().get(key) is bool:
        _check_truth(key, value)
    if key == "trainer.devices":
        text = re.sub(r"(?<=[=,])auto(?=,|$)", str(ALL), text)
    return _as_text(text) if key in _text_keys() else text


def _depth(text: str) -> int:
    """Return how many brackets are open at once in a value."""
    return max(accumulate((each in "[{(") - (each in ")}]") for each in text), default=0)


def _check_options(group: str, value: Any) -> None:
    """Raise UserError unless each option of a group that is asked for is a name, or a mapping of its keys."""
    if value is None and group != "experiment":
        raise UserError(f"{group}=null: a run needs one of {listed(groups()[group])}")
    options = value.list if isinstance(value, ChoiceSweep) else value
    for option in options if isinstance(options, list) else [options]:
        if isinstance(option, bool | int | float | list):
            raise unknown(f"option of the group {group!r}:", option, groups()[group])


def _one_logger(text: str) -> list[str]:
    """logger=[wandb,tensorboard] as Hydra is to take it, for which a later option of a group replaces the earlier."""
    if not text.startswith("logger=["):
        return [text]
    [override] = parse([text])
    names = override.value()
    if not isinstance(names, list) or not names:
        raise UserError(f"{text}: name at least one logger")
    return [f"logger={names[0]}", f"logger.names=[{','.join(map(str, names))}]"]


def _home(tilde: str) -> Path:
    try:
        return Path(tilde).expanduser()
    except RuntimeError:
        raise UserError(f"{tilde}: no such user has a home here") from None


def _check_hydra(key: str) -> None:
    if any(key == known or key.startswith(f"{known}.") for known in HYDRA):
        return
    for name, instead in INSTEAD.items():
        if key == name or key.startswith(f"{name}."):
            raise UserError(f"{key} has no effect: {instead}")
    raise unknown("key of Hydra", key, HYDRA)


def _as_text(text: str) -> str:
    """Return the override with what Hydra would take for a number or a truth value, and write otherwise, in quotes."""
    key, _, value = text.partition("=")
    if "'" in value or '"' in value or "(" in value:  # it says itself what it is
        return text
    parts = re.split(r"([,\[\]])", value)
    return f"{key}={''.join(map(_quoted, parts))}"


def _quoted(part: str) -> str:
    word = part.strip()
    try:
        value = OverridesParser.create().parse_rule(word, "element")
    except HydraException:  # a comma, a bracket, nothing
        return part
    return part if isinstance(value, str) or value is None or str(value) == word else f"'{word}'"


def _check_truth(key: str, value: Any) -> None:
    """Raise UserError for a number where true or false is needed, which OmegaConf would take for true."""
    for each in value.list if isinstance(value, ChoiceSweep) else [value]:
        if isinstance(each, int | float) and each not in (0, 1):
            raise UserError(f"{key}={each}: must be true or false")


@cache
def _hints() -> dict[str, object]:
    """Return the type of each key."""
    return {key: each.hint for key, each in keys(TrainConfig).items()}


@cache
def _text_keys() -> frozenset[str]:
    """Return the keys whose values are text, for example data.root and logger.tags."""
    return frozenset(
        key
        for key, hint in _hints().items()
        if get_origin(hint) is not dict and str in (hint, *get_args(hint)) and bool not in get_args(hint)
    )


def _outside_the_grammar(text: str, error: Exception) -> UserError:
    key, equals, value = text.partition("=")
    if equals and re.fullmatch(r"[+~]{0,2}[A-Za-z_]([\w./@:$-]*\w)?", key):
        escaped = re.sub(r'(\\*)"', r"\1\1\\" + '"', value)
        whole = f'{key}="{escaped}"'
        if not value.startswith(("'", '"', "[", "{")) and _fits(whole):
            return UserError(f"{text}: this value needs quotes: {shlex.quote(whole)}")
        whole = f"{key}={re.sub(r'(?<=[{,])[^:{}]*(?=:)', _escaped, value)}"
        if value.startswith("{") and _fits(whole):
            return UserError(
                f"{text}: names there go without quotes, their brackets behind backslashes: {shlex.quote(whole)}"
            )
        return UserError(f"{text}: {_first_line(error)}; quotes make a value plain text: '{key}=\"…\"'")
    return _no_override(text)


def _escaped(name: re.Match[str]) -> str:
    """Return a name before a colon as Hydra reads it: without quotes, its brackets behind backslashes."""
    return re.sub(r"(?<!\\)([\[\]()])", r"\\\1", re.sub("['\"]", "", name[0]))


def _fits(text: str) -> bool:
    try:
        OverridesParser.create().parse_override(text)
    except HydraException:
        return False
    return True


def _first_line(error: Exception) -> str:
    """Return what Hydra says of it, without the override and the address of its documentation."""
    lines = [
        line for line in str(error).splitlines() if line.strip() and not line.startswith(("See ", "Error"))
    ]
    return lines[0].strip() if lines else "Hydra cannot read this value"


def _no_override(text: str) -> UserError:
    return UserError(
        f"{text!r} is not an override: write key=value or group=option, for example model.depth=32"
    )
