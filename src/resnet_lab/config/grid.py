"""The grid of a sweep: its axes, which combinations are no runs, and a folder for each run. Free of torch."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from itertools import product
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from resnet_lab.config.groups import groups
from resnet_lab.config.identity import differences, path_of
from resnet_lab.config.many import Composer
from resnet_lab.config.overrides import parse, read
from resnet_lab.config.schema import ALL, TrainConfig
from resnet_lab.errors import UserError, unknown
from resnet_lab.fields import flatten

Job = tuple[str, ...]  # the overrides of one run


def jobs_of(sweeper: DictConfig, given: Sequence[Override], loader: ConfigLoader) -> list[Job]:
    """Return the overrides of each run, in order and without repetitions.

    `hydra.sweeper.params` are crossed with each other and with each of `hydra.sweeper.rows`, which are for what is no
    full grid. What is `given` replaces both, key by key. Raises UserError where there is no run.
    """
    jobs: dict[Job, None] = {}
    params, rows = _axes(sweeper)
    for row in rows:
        axes = parse(read([*assignments(params), *assignments(row)]), loader)
        experiment = [o for o in given if o.key_or_group == "experiment"]
        rest = [o for o in given if o.key_or_group != "experiment"]
        grid = {o.get_key_element(): _values(o) for o in [*experiment, *axes, *rest]}
        jobs.update(dict.fromkeys(product(*grid.values())))
    return list(jobs)


def _axes(sweeper: Any) -> tuple[dict[str, object], list[dict[str, object]]]:
    """Return hydra.sweeper.params and hydra.sweeper.rows; UserError unless these are mappings of keys to values."""
    options: Any = OmegaConf.to_container(
        OmegaConf.create({name: sweeper[name] for name in ("params", "rows")})
    )
    params, rows = options["params"] or {}, options["rows"] or [{}]
    if not isinstance(params, dict):
        raise UserError(f"hydra.sweeper.params={params}: write {{model.depth: '20,32', seed: '0,1'}}")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(
            f"hydra.sweeper.rows={rows}: a list is needed, for example [{{model.depth: 20, seed: 1}}]"
        )
    return params, rows


def _values(override: Override) -> list[str]:
    """Return the override once for each of its values."""
    key = override.get_key_element()
    if not override.is_sweep_override():
        return [f"{key}={override.get_value_element_as_str()}"]
    if not override.is_discrete_sweep():
        raise UserError(f"{override.input_line}: an interval is for a search: hydra/sweeper=optuna")
    try:
        values = [f"{key}={value}" for value in override.sweep_string_iterator()]
    except (ValueError, HydraException) as error:
        raise UserError(f"{override.input_line}: {error}") from None
    if not values:
        raise UserError(f"{override.input_line}: it has no values to sweep over")
    return values


def assignments(choices: Mapping[Any, Any]) -> list[str]:
    """``{"model.depth": "20,56", "seed": None}`` as overrides."""
    return [f"{key}={'null' if value is None else value}" for key, value in choices.items()]


@dataclass(frozen=True)
class Exclusions:
    """What a sweeper leaves out."""

    exclude: tuple[Mapping[str, Any], ...] = ()  # partial configurations by dotted key
    skip_invalid: bool = False

    @classmethod
    def of(cls, sweeper: Any) -> "Exclusions":
        """Return what the options of hydra/sweeper=grid say; UserError where they say it wrongly."""
        exclude = OmegaConf.to_container(OmegaConf.create({"it": sweeper.get("exclude")}))["it"]  # type: ignore[index, call-overload]
        parts = [] if exclude is None else exclude
        if not isinstance(parts, list) or not all(isinstance(part, dict) and part for part in parts):
            raise UserError(
                "hydra.sweeper.exclude: a list of partial configurations is needed, for example"
                " 'hydra.sweeper.exclude=[{model.depth:110,recipe.lr:0.1}]'"
            )
        skip = sweeper.get("skip_invalid", False)
        if not isinstance(skip, bool):
            raise UserError(f"hydra.sweeper.skip_invalid={skip}: true or false is needed")
        return cls(tuple(map(flatten, parts)), skip)

    def match(
        self, composed: DictConfig, values: Mapping[str, Any], job: Sequence[str], composer: Composer
    ) -> bool:
        """Return whether the run of the configuration `composed` is to be left out; `values` has further keys.

        Raises UserError for a key that no run has.
        """
        return any(
            all(_is(_value(key, composed, values, job, composer), wanted) for key, wanted in part.items())
            for part in self.exclude
        )


def _value(
    key: str, composed: DictConfig, values: Mapping[str, Any], job: Sequence[str], composer: Composer
) -> Any:
    if key in groups():
        return composer.choices(job).get(key)
    if key in values:
        return values[key]
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(composed, parent) if parent else composed
    if not isinstance(node, DictConfig) or (name not in node and is_dataclass(OmegaConf.get_type(node))):
        raise unknown("key of hydra.sweeper.exclude", key, [*values, *groups()])
    return node.get(name)


def _is(value: Any, wanted: Any) -> bool:
    """Equal as it is typed; several wanted values, in a list or with commas, are alternatives."""
    if value == wanted or _word(value) == _word(wanted):
        return True
    others = wanted.split(",") if isinstance(wanted, str) and "," in wanted else wanted
    return (
        isinstance(others, list) and not isinstance(value, list) and any(_is(value, each) for each in others)
    )


def _word(value: Any) -> str:
    word = str(value).strip()
    return {"None": "null", "True": "true", "False": "false"}.get(word, word)


def apart(configs: list[TrainConfig]) -> list[TrainConfig]:
    """Give runs that differ only in what changes no result, as trainer.devices, a folder each.

    Raises UserError when one `run_dir` is asked for by runs that differ, or all devices by each of several.
    """
    if any(config.trainer.devices == ALL for config in configs):
        raise UserError(
            f"trainer.devices={ALL}: all of them is for a single run; a sweep shares the devices among its runs,"
            " so say how many each takes, for example trainer.devices=2"
        )
    paths = [path_of(config) for config in configs]
    homes: dict[Any, list[TrainConfig]] = {}
    for path, config in zip(paths, configs, strict=True):
        homes.setdefault(path, []).append(config)
    result = []
    for path, config in zip(paths, configs, strict=True):
        others = [other for other in homes[path] if other != config]
        different = {key for other in others for key in _local_differences(config, other)}
        for other in others:
            if changes := differences(config, other):
                raise UserError(f"run_dir={path} is asked for by runs that differ: {'; '.join(changes)}")
        if different:
            values = flatten(config)
            words = "-".join(f"{key.rpartition('.')[2]}{values[key]}" for key in sorted(different))
            config = replace(config, run_dir=f"{path}-{re.sub(r'[^A-Za-z0-9_.-]+', '-', words)}")
        result.append(config)
    return result


def _local_differences(config: TrainConfig, other: TrainConfig) -> set[str]:
    ours, theirs = flatten(config), flatten(other)
    return {key for key, value in ours.items() if value != theirs.get(key)}
