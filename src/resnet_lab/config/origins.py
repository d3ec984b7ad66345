"""Which file, or what else, set each key of a configuration. Free of torch."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from resnet_lab.config.compose import compose_raw, config_loader, register_schemas
from resnet_lab.config.groups import ROOT, config_dir, groups
from resnet_lab.config.machine import FILE
from resnet_lab.config.machine import of_data as local_data
from resnet_lab.config.overrides import parse
from resnet_lab.config.schema import TrainConfig
from resnet_lab.fields import flatten

DEFAULT = "default"  # nothing but the schema says it
COMMAND_LINE = "command line"
WORKED_OUT = "worked out"  # from the data set, the net's family, debug


def origins(
    job: Sequence[str], said: Collection[str], config: TrainConfig, *, local: Sequence[Override] = ()
) -> Callable[[str], str]:
    """Return what tells which file, or what else, set a dotted key of `config`, which the overrides of `job` make.

    Those are the keys that were `said` on the command line, the `local` ones, and the axes of the experiment.
    """
    of_machine = {each.key_or_group for each in local}
    files, keys, experiment = [], {}, DEFAULT
    for each in parse(job):
        key = each.key_or_group
        if key == "experiment":
            experiment = f"experiment/{each.value()}.yaml"
        if key in groups() or each.is_hydra_override():
            files.append(str(each.input_line))
        else:
            keys[key] = COMMAND_LINE if key in said else str(FILE) if key in of_machine else experiment
    set_by = {**_files(tuple(files)), **keys}
    asked = flatten(OmegaConf.to_container(compose_raw(list(job))))
    made, data = flatten(config), local_data(config.data.name)

    def origin(key: str) -> str:
        if key in asked and key in made and asked[key] != made[key]:
            return str(FILE) if key.removeprefix("data.") in data else WORKED_OUT
        whole = (key.rsplit(".", count)[0] for count in range(key.count(".") + 1))  # a: b may set a.b.c
        return next((set_by[each] for each in whole if each in set_by), DEFAULT)

    return origin


@cache
def _files(chosen: tuple[str, ...]) -> Mapping[str, str]:
    """Return, for each key that a file sets, the last file that sets it in Hydra's order."""
    register_schemas()
    loader = config_loader()
    set_by: dict[str, str] = {}
    for default in loader.compute_defaults_list(ROOT, list(chosen), RunMode.RUN).defaults:
        package = default.package or ""
        if package.startswith("hydra"):
            continue
        source = next(each for each in loader.get_sources() if each.is_config(default.config_path))
        name = DEFAULT if source.scheme() == "structured" else _shown(source.path, default.config_path)
        prefix = "" if package in ("", "_global_") else f"{package}."
        set_by |= dict.fromkeys(_keys(source.load_config(default.config_path).config, prefix), name)
    return set_by


def _shown(folder: str, path: str) -> str:
    """Return a file of this package by its group, one of the user's by its place below the working folder, or whole."""
    file, here = Path(folder) / f"{path}.yaml", Path.cwd()
    own = file.is_relative_to(here) and not file.is_relative_to(config_dir())
    return str(file.relative_to(here)) if own else f"{path}.yaml"


def _keys(content: Any, prefix: str) -> Iterator[str]:
    for key, value in content.items_ex(resolve=False):
        if key not in ("defaults", "hydra"):
            nested = isinstance(value, DictConfig) and len(value) > 0 and not value._is_none()
            yield from _keys(value, f"{prefix}{key!s}.") if nested else [f"{prefix}{key!s}"]
