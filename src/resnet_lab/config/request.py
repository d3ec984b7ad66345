"""What is asked for, parsed once: what was typed, what local.yaml adds, and the experiment. Free of torch.

Whoever trains, plans or prints takes a `Request`, and gets a checked, resolved configuration of each run from it.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from resnet_lab.config.compose import compose_raw, config_loader, refuse_unread, typed
from resnet_lab.config.grid import Exclusions, Job, apart, jobs_of
from resnet_lab.config.machine import settings
from resnet_lab.config.many import Composer
from resnet_lab.config.origins import origins
from resnet_lab.config.overrides import parse, read, text_of
from resnet_lab.config.schema import TrainConfig
from resnet_lab.errors import UserError
from resnet_lab.fields import flatten


class Request:
    """The overrides of one command, as `typed`, and the `local` ones of this machine that nothing typed replaces."""

    def __init__(self, overrides: Iterable[str], *, multirun: bool = False) -> None:
        """Raise UserError for an override that is none or that nothing reads, and for what local.yaml may not set."""
        self.multirun = multirun
        self.typed = parse(read(overrides), self._loader if multirun else None)
        self.local = parse(settings({each.key_or_group for each in self.typed}))
        every = [*self.local, *self.typed]
        self.hydra_options = [text_of(each) for each in every if each.is_hydra_override()]
        self.task = [each for each in every if not each.is_hydra_override()]
        self._composer = Composer(self.hydra_options)

    @cached_property
    def _loader(self) -> ConfigLoader:
        return config_loader()  # for a glob over the options of a group

    @cached_property
    def arguments(self) -> list[str]:
        """Return the overrides but for Hydra's own, as text."""
        return [text_of(each) for each in self.task]

    def run(self, *, planned: bool = False, trains: bool = True) -> TrainConfig:
        """Return the configuration of the one run; `planned`: ImageNet may be elsewhere.

        Without `trains` the images need make no batch, since nothing is trained on them. Raises UserError for an
        unknown key, group or option, a wrong type, or a combination that makes no sense.
        """
        asked = [*self.hydra_options, *self.arguments]
        config = typed(compose_raw(asked), planned=planned, trains=trains)
        refuse_unread(config, {each.key_or_group for each in self.task})
        return config

    def runs(self, *, planned: bool = False) -> dict[Job, TrainConfig]:
        """Return the overrides and the configuration of each run, checked, each with a folder of its own.

        What is left out costs a line. Raises UserError where nothing remains, and for a search.
        """
        if not self.multirun:
            return {(*self.hydra_options, *self.arguments): self.run(planned=planned)}
        found: dict[Job, TrainConfig] = {}
        excluded, invalid, exclusive = 0, [], False
        jobs = list(self._jobs())
        for job, left_out in jobs:
            exclusive |= bool(left_out.exclude)
            try:
                raw = self._composer(job)
                if left_out.match(raw, flatten(OmegaConf.to_container(raw)), job, self._composer):
                    excluded += 1
                    continue
                config = typed(raw, planned=planned)
                refuse_unread(config, {text.partition("=")[0].lstrip("+") for text in job})
            except UserError as error:
                if not left_out.skip_invalid:
                    raise
                invalid.append(error)
                continue
            if left_out.match(
                raw, flatten(config), job, self._composer
            ):  # of what the net's family decides, say
                excluded += 1
            else:
                found[job] = config
        if not found:
            raise (
                invalid[0] if invalid else UserError(f"hydra.sweeper.exclude leaves none of {len(jobs)} runs")
            )
        if exclusive:
            _say(f"{excluded} of {len(jobs)} runs are left out by hydra.sweeper.exclude")
        if invalid:
            by = f"hydra.sweeper.skip_invalid, for example {invalid[0]}"
            _say(f"{len(invalid)} of {len(jobs)} runs are left out by {by}")
        return dict(zip(found, apart(list(found.values())), strict=True))

    def runs_of_experiment(self) -> int:
        """Return how many runs the experiment that is asked for would have as a sweep; 1 without one."""
        if not any(each.key_or_group == "experiment" for each in self.task) or not is_grid(self.hydra()):
            return 1
        jobs = list(self._jobs())
        if any(left_out != Exclusions() for _, left_out in jobs):
            swept = Request([*map(text_of, self.typed)], multirun=True)
            return len(swept.runs(planned=True))
        return len({job for job, _ in jobs})

    def hydra(self, *more: str) -> DictConfig:
        """Return what Hydra composes for the sweep as a whole, its own node included; `more` options are Hydra's own.

        An experiment may choose sweeper and launcher. Raises UserError where several choose different ones.
        """
        composer = Composer([*self.hydra_options, *more]) if more else self._composer
        wholes = [composer.whole(list(map(text_of, experiment))) for experiment in self._experiments()]
        for node in ("launcher", "sweeper"):
            chosen = {whole.hydra.runtime.choices[f"hydra/{node}"] for whole in wholes}
            if len(chosen) > 1:
                raise UserError(
                    f"these experiments ask for several of hydra/{node}: {', '.join(sorted(chosen))}; name one, for"
                    f" example hydra/{node}={min(chosen)}"
                )
        return wholes[0]

    def origin(self, job: Job, config: TrainConfig) -> Callable[[str], str]:
        """Return what tells which file, or what else, set a dotted key of a run's configuration."""
        return origins(job, {each.key_or_group for each in self.typed}, config, local=self.local)

    def _jobs(self) -> Iterator[tuple[Job, Exclusions]]:
        """Yield each combination of the axes of each experiment, then of the command line; and which are no runs."""
        for experiment in self._experiments():
            sweeper = self._composer.hydra(list(map(text_of, experiment))).sweeper
            if sweeper["_target_"] is not None:
                raise UserError("a search decides as it goes: its runs are not known beforehand")
            rest = [each for each in self.task if each.key_or_group != "experiment"]
            left_out = Exclusions.of(sweeper)
            yield from ((job, left_out) for job in jobs_of(sweeper, [*experiment, *rest], self._loader))

    def _experiments(self) -> list[list[Override]]:
        """Return one list for each experiment asked for: each has axes of its own."""
        chosen = [each for each in self.task if each.key_or_group == "experiment"]
        if not chosen or not chosen[-1].is_sweep_override():
            return [chosen[-1:]]
        return [parse([f"experiment={name}"]) for name in chosen[-1].sweep_string_iterator()]


def is_grid(composed: DictConfig) -> bool:
    """Return whether the runs of a sweep are known beforehand, not chosen one after another by a sweeper."""
    return composed.hydra.sweeper["_target_"] is None


def compose(overrides: Iterable[str], *, planned: bool = False, trains: bool = True) -> TrainConfig:
    """Return the configuration of the one run that the overrides ask for, as `Request.run` does."""
    return Request(overrides).run(planned=planned, trains=trains)


def _say(line: str) -> None:
    print(f"resnet-lab: {line}", file=sys.stderr)
