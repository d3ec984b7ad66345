"""The runs that a sweep's overrides ask for, before any of them starts. Free of torch."""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from resnet_lab.config.compose import compose_raw, config_loader, refuse_unread, typed
from resnet_lab.config.identity import differences
from resnet_lab.config.machine import with_local
from resnet_lab.config.many import Composer
from resnet_lab.config.overrides import parse, read
from resnet_lab.config.schema import ALL, TrainConfig
from resnet_lab.errors import UserError
from resnet_lab.fields import flatten
from resnet_lab.runs.folder import path_of
from resnet_lab.sweeps.left_out import Rules


@dataclass(frozen=True)
class Grid:
    """The jobs of one experiment, or of none, as lists of overrides; and which of them are no runs."""

    jobs: list[list[str]]
    rules: Rules


def grids(overrides: list[str], composer: Composer | None = None) -> list[Grid]:
    """The grids of a multirun: the axes of each of its experiments, then those of the command line.

    The experiment's `hydra.sweeper.params` are crossed with each other and with each of its
    `hydra.sweeper.rows`, which are for what is no full grid. The command line replaces both, key by key.
    `overrides` were read; `composer` is theirs. Raises UserError where there is no job.
    """
    loader = config_loader()
    given = parse(overrides, loader)
    composer = composer or _composer(given)
    found = []
    for experiment in _experiments(given):
        task = [o for o in given if not o.is_hydra_override() and o.key_or_group != "experiment"]
        sweeper = composer.hydra(list(map(_line, experiment))).sweeper
        if sweeper["_target_"] is not None:
            raise UserError("a search decides as it goes: its runs cannot be told beforehand")
        jobs: dict[tuple[str, ...], None] = {}  # a dict, because it keeps the order and drops repetitions
        params, rows = _axes(sweeper)
        for row in rows:
            axes = parse(read([*assignments(params), *assignments(row)]), loader)
            grid = {o.get_key_element(): _values(o) for o in [*experiment, *axes, *task]}
            jobs.update(dict.fromkeys(product(*grid.values())))
        found.append(Grid([list(job) for job in jobs], Rules.of(sweeper)))
    return found


def _axes(sweeper: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
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
    """The override once for each of its values."""
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
        raise UserError(f"{override.input_line}: there is no value to sweep over")
    return values


def composed(overrides: list[str], *, planned: bool = False) -> dict[tuple[str, ...], TrainConfig]:
    """Each run's overrides and its configuration, typed, checked, and with a folder of its own.

    `planned` as in `compose`. What is left out costs a line; UserError where nothing remains.
    """
    overrides = with_local(read(overrides))
    composer = _composer(parse(overrides))
    found: dict[tuple[str, ...], TrainConfig] = {}
    excluded, invalid = 0, []
    jobs = [(tuple(job), grid.rules) for grid in grids(overrides, composer) for job in grid.jobs]
    for job, rules in jobs:
        try:
            raw = composer(job)
            if rules.match(raw, flatten(OmegaConf.to_container(raw)), job, composer):
                excluded += 1
                continue
            config = typed(raw, planned=planned)
            refuse_unread(config, job)
        except UserError as error:
            if not rules.skip_invalid:
                raise
            invalid.append(error)
            continue
        if rules.match(raw, flatten(config), job, composer):  # of what the net's family decides, say
            excluded += 1
        else:
            found[job] = config
    if not found and invalid:
        raise invalid[0]
    if not found:
        raise UserError(f"hydra.sweeper.exclude leaves none of {len(jobs)} runs")
    if any(rules.exclude for _, rules in jobs):
        _tell(f"{excluded} of {len(jobs)} runs are left out by hydra.sweeper.exclude")
    if invalid:
        _tell(
            f"{len(invalid)} of {len(jobs)} runs are left out by hydra.sweeper.skip_invalid, for example {invalid[0]}"
        )
    return dict(zip(found, apart(list(found.values())), strict=True))


def _tell(line: str) -> None:
    print(f"resnet-lab: {line}", file=sys.stderr)


def configurations(overrides: list[str], *, planned: bool = False) -> list[TrainConfig]:
    """The configuration of each run of a multirun, as `composed` gives them."""
    return list(composed(overrides, planned=planned).values())


def runs_of_experiment(overrides: list[str]) -> int:
    """How many runs the experiment that is asked for would have as a sweep; 1 without one."""
    asked = with_local(read(overrides))
    if not any(o.key_or_group == "experiment" for o in parse(asked)) or not is_grid(hydra_of(asked)):
        return 1
    found = grids(asked)
    if any(grid.rules != Rules() for grid in found):
        return len(composed(overrides, planned=True))
    return len({tuple(job) for grid in found for job in grid.jobs})


def hydra_of(overrides: list[str], *more: str) -> DictConfig:
    """Return what Hydra composes for a sweep as a whole, its own node included: which sweeper and which launcher.

    An experiment may choose both. `overrides` were read; `more` are further options of Hydra's own.
    """
    given = parse(overrides)
    ours = [*(_line(o) for o in given if o.is_hydra_override()), *more]
    wholes = [
        compose_raw([*ours, *map(_line, experiment)], with_hydra=True) for experiment in _experiments(given)
    ]
    for node in ("launcher", "sweeper"):
        chosen = {whole.hydra.runtime.choices[f"hydra/{node}"] for whole in wholes}
        if len(chosen) > 1:
            raise UserError(
                f"these experiments ask for several of hydra/{node}: {', '.join(sorted(chosen))}; name one, for"
                f" example hydra/{node}={min(chosen)}"
            )
    return wholes[0]


def is_grid(composed: DictConfig) -> bool:
    """Return whether the runs are known beforehand, not chosen one after another by another sweeper."""
    return composed.hydra.sweeper["_target_"] is None


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
            told = "-".join(f"{key.rpartition('.')[2]}{values[key]}" for key in sorted(different))
            config = replace(config, run_dir=f"{path}-{re.sub(r'[^A-Za-z0-9_.-]+', '-', told)}")
        result.append(config)
    return result


def assignments(choices: Mapping[Any, Any]) -> list[str]:
    """``{"model.depth": "20,56", "seed": None}`` as overrides."""
    return [f"{key}={'null' if value is None else value}" for key, value in choices.items()]


def _composer(given: list[Override]) -> Composer:
    """What composes the runs of these overrides."""
    return Composer([_line(o) for o in given if o.is_hydra_override()])


def _experiments(given: list[Override]) -> list[list[Override]]:
    """One list for each experiment asked for: each has axes of its own."""
    chosen = [o for o in given if o.key_or_group == "experiment"]
    if not chosen or not chosen[-1].is_sweep_override():
        return [chosen[-1:]]
    return [parse([f"experiment={name}"]) for name in chosen[-1].sweep_string_iterator()]


def _line(override: Override) -> str:
    assert override.input_line is not None
    return override.input_line


def _local_differences(config: TrainConfig, other: TrainConfig) -> set[str]:
    ours, theirs = flatten(config), flatten(other)
    return {key for key, value in ours.items() if value != theirs.get(key)}
