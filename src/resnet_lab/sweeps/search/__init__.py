"""A search with Optuna over what the command line leaves open: `hydra/sweeper=optuna`. Free of torch.

What was tried lies in `search.journal` beside the run folders. Each choice is a function of the seed, its
number and the trials of the rounds before, so a search that is killed and started again ends as it would have.
"""

import hashlib
import json
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, islice
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from resnet_lab.config.compose import compose_raw
from resnet_lab.config.grid import assignments
from resnet_lab.config.identity import identity_part
from resnet_lab.config.overrides import parse, read
from resnet_lab.config.request import Request
from resnet_lab.config.schema import ObjectiveConfig, TrainConfig
from resnet_lab.errors import UserError
from resnet_lab.fields import choice, number
from resnet_lab.sweeps.jobs import Job
from resnet_lab.sweeps.plugins import NAMESPACE, options_of

JOURNAL = "search.journal"
MEDIANS = "medians"  # of a trial, which were known when it was chosen
SAMPLERS = ("tpe", "random")
STARTUP = 4  # finished trials of earlier rounds without which none is stopped
PRUNER = "resnet_lab.training.median.MedianStop"

Launch = Callable[[list[list[str]]], Sequence[float | None]]  # brings runs to their end; their objectives


@dataclass
class SearchOptions:
    """The keys of hydra/sweeper=optuna."""

    n_trials: int = number(20, least=1)  # of the whole search, those of earlier starts counted
    batch: int = number(4, least=1)  # trials chosen at a time
    sampler: str = choice("tpe", SAMPLERS)
    seed: int = 0
    pruner: str = choice("none", ("none", "median"))
    prune_after: int = number(1, least=1)  # epochs that every trial is trained
    params: dict[str, Any] | None = None  # axes of the space
    rows: list[Any] | None = None  # of an experiment's grid: refused, as are
    exclude: list[Any] | None = None
    skip_invalid: bool = False

    def __post_init__(self) -> None:
        for name in ("rows", "exclude", "skip_invalid"):
            if getattr(self, name) not in (None, False, [], "???"):
                raise UserError(
                    f"hydra.sweeper.{name} belongs to a grid: a search takes only hydra.sweeper.params"
                )


class SearchSweeper(Sweeper):
    """hydra/sweeper=optuna: what is tried next follows from what was found."""

    __module__ = NAMESPACE

    def __init__(self, **options: Any) -> None:
        self.options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.launcher = Plugins.instance().instantiate_launcher(hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> Any:
        assert self.launcher is not None
        launch = self.launcher.launch

        def objectives(jobs: list[list[str]]) -> list[Any]:
            return [each.return_value for each in launch(jobs, initial_job_idx=0)]

        search = Search(options_of(SearchOptions, self.options, "hydra.sweeper"), arguments)
        print(search.run(objectives))


class Search:
    """Rounds of trials, each chosen together and brought to its end together."""

    def __init__(self, options: SearchOptions, overrides: list[str]) -> None:
        """`overrides`: of the task, swept or not. Raises UserError before anything is written."""
        self._optuna = _optuna()
        self._options = options
        given = {o.key_or_group: o for o in parse(read([*assignments(options.params or {}), *overrides]))}
        seeds = given.get("seed")
        # Each trial is a run of each of these, and their mean.
        self._seeds: list[list[str]] = [[]]
        if seeds is not None and seeds.is_sweep_override():
            self._seeds = [[f"seed={each}"] for each in given.pop("seed").sweep_string_iterator()]
        self._space = {key: self._distribution(o) for key, o in given.items() if o.is_sweep_override()}
        self._fixed = [str(o.input_line) for o in given.values() if not o.is_sweep_override()]
        if not self._space:
            raise UserError(
                "there is nothing to search over; for example 'recipe.lr=tag(log, interval(0.01, 1))' or"
                " model.depth=20,32"
            )
        self._config = self._checked()
        self._curves: dict[int, list[float]] = {}  # of trials, by their number
        if not self._config.data.validation:
            raise UserError(
                "data.validation=0: a search would choose on the test set; set training images aside, for example"
                " data.validation=300"
            )

    def run(self, launch: Launch) -> str:
        """Go on until there are n_trials; returns what was found, in one line."""
        study = self._study()
        total, batch = self._options.n_trials, self._options.batch
        for first in range(0, total, batch):
            numbers = range(first, min(first + batch, total))
            if new := numbers[max(0, len(study.trials) - first) :]:
                medians = self._medians(study.trials[:first])
            for trial in new:
                study.sampler = self._sampler(trial)
                study.ask(self._space).set_user_attr(MEDIANS, medians)
            open_trials = [
                trial for trial in study.trials[first : numbers.stop] if not trial.state.is_finished()
            ]
            if not open_trials:
                continue
            found = iter(launch([job for trial in open_trials for job in self._jobs(trial)]))
            for trial in open_trials:
                of_seeds = list(islice(found, len(self._seeds)))
                known = [each for each in of_seeds if each is not None]
                if len(known) == len(self._seeds):  # what failed stays open: the same command tries it again
                    study.tell(trial.number, sum(known) / len(known))
                elif any(each.pruned for each in self._runs(trial.params)):
                    study.tell(trial.number, state=self._optuna.trial.TrialState.PRUNED)
        return self._summary(study)

    def _checked(self) -> TrainConfig:
        """Return the configuration of the first trial; UserError when it, or another value of a list, is none."""
        first = self._optuna.create_study(sampler=self._sampler(0)).ask(self._space).params
        for key, distribution in self._space.items():
            for value in getattr(distribution, "choices", ()):
                if value != first[key]:
                    Request(self._overrides({**first, key: value})).run()
        return Request(self._overrides(first)).run()

    def _summary(self, study: Any) -> str:
        done = [trial for trial in study.trials if trial.value is not None]
        pruned = sum(trial.state.name == "PRUNED" for trial in study.trials)
        stopped = f", {pruned} of them stopped early" if pruned else ""
        summary = f"search: {len(done) + pruned} of {self._options.n_trials} trials{stopped}"
        if not done:
            return summary
        choices = " ".join(self._overrides(study.best_params)[len(self._fixed) :])
        best = "lowest" if self._config.objective.mode == "min" else "highest"
        column = self._config.objective.column.validated
        return f"{summary}, {best} {column.heading} {column.said(study.best_value)} with {choices}"

    def _study(self) -> Any:
        """Return the study of this very question: what does not change its answers is not part of its name."""
        config = OmegaConf.to_object(compose_raw(self._fixed))
        assert isinstance(config, TrainConfig)
        asked = identity_part(config)
        space = {key: repr(distribution) for key, distribution in self._space.items()}
        options = [self._options.sampler, self._options.seed, self._options.batch]
        if self._options.pruner != "none":
            options += [self._options.pruner, self._options.prune_after]
        judged = [] if config.objective == ObjectiveConfig() else [vars(config.objective)]
        text = json.dumps([asked, space, options, *judged, *chain(*self._seeds)], sort_keys=True, default=str)
        storage = self._optuna.storages
        file = Path(self._config.runs_root) / self._config.name / JOURNAL
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            journal = storage.JournalStorage(storage.journal.JournalFileBackend(str(file)))
        except OSError as error:
            raise UserError(f"cannot write {file}: {error.strerror}") from None
        name = hashlib.sha256(text.encode()).hexdigest()[:8]
        direction = "minimize" if self._config.objective.mode == "min" else "maximize"
        return self._optuna.create_study(
            storage=journal, study_name=name, load_if_exists=True, direction=direction
        )

    def _sampler(self, number: int) -> Any:
        """Return a sampler for one trial: what it draws depends on no trial that was drawn before it."""
        samplers, seed = self._optuna.samplers, self._options.seed * 100_003 + number
        if self._options.sampler == "random":
            return samplers.RandomSampler(seed=seed)
        return samplers.TPESampler(seed=seed, constant_liar=True)  # or trials of a round would be alike

    def _jobs(self, trial: Any) -> list[list[str]]:
        """Return the overrides of a trial's runs, one of each seed."""
        medians = trial.user_attrs.get(MEDIANS)
        stop = []
        if medians:
            metric, mode = self._config.objective.validated, self._config.objective.mode
            listed = ",".join("null" if each is None else f"{each:.6g}" for each in medians)
            named = f"_target_:{PRUNER},identity:false,monitor:{metric},mode:{mode},medians:[{listed}]"
            stop = [f"callbacks.extra.{MEDIANS}={{{named}}}"]
        return [[*self._overrides(trial.params), *seed, *stop] for seed in self._seeds]

    def _runs(self, params: dict[str, object]) -> list[Job]:
        """Return the runs of a trial as they were left."""
        return [Job.left(Request([*self._overrides(params), *seed]).run()) for seed in self._seeds]

    def _medians(self, earlier: Sequence[Any]) -> list[float | None]:
        """Return the median after each epoch of the trials that were trained to their end; empty while they are few."""
        from statistics import median  # here: the sweeper is made known to every command

        done = [trial for trial in earlier if trial.value is not None]
        if self._options.pruner == "none" or len(done) < STARTUP:
            return []
        for trial in done:
            if trial.number not in self._curves:  # which no longer changes
                self._curves[trial.number] = self._curve(trial.params)
        curves = [self._curves[trial.number] for trial in done]
        after = [
            [curve[epoch] for curve in curves if epoch < len(curve)] for epoch in range(max(map(len, curves)))
        ]
        return [
            median(each) if epoch >= self._options.prune_after and len(each) >= STARTUP else None
            for epoch, each in enumerate(after, 1)
        ]

    def _curve(self, params: dict[str, object]) -> list[float]:
        """Return the best objective of a trial up to each epoch, the mean over its seeds."""
        best, worst = (min, math.inf) if self._config.objective.mode == "min" else (max, -math.inf)
        runs = [job.curve(self._config.objective.validated) for job in self._runs(params)]
        figures = [[worst if math.isnan(each) else each for each in run] for run in runs]
        so_far = zip(*(accumulate(run, best) for run in figures), strict=False)
        return [sum(each) / len(each) for each in so_far]

    def _overrides(self, params: dict[str, object]) -> list[str]:
        """Return a trial's overrides, drawn numbers with three digits: more only make folders hard to read."""
        drawn = {key: f"{value:.3g}" if isinstance(value, float) else value for key, value in params.items()}
        return [*self._fixed, *(f"{key}={value}" for key, value in drawn.items())]

    def _distribution(self, axis: Override) -> Any:
        """Translate Hydra's sweep syntax to Optuna's: interval, range, and choice or a list of values."""
        kinds, value = self._optuna.distributions, axis.value()
        if isinstance(value, IntervalSweep):
            whole = isinstance(value.start, int) and isinstance(value.end, int)
            kind = kinds.IntDistribution if whole else kinds.FloatDistribution
            try:
                return kind(value.start, value.end, log="log" in value.tags)
            except ValueError as error:
                raise UserError(f"{axis.input_line}: {error}") from None
        try:
            texts = list(axis.sweep_string_iterator())
        except HydraException:
            raise UserError(f"{axis.input_line}: a search needs the values written out") from None
        numbers: list[Any] = list(axis.sweep_iterator()) if isinstance(value, RangeSweep) else []
        if len(numbers) > 1 and all(isinstance(number, int) for number in numbers):
            low, high = min(numbers), max(numbers)
            return kinds.IntDistribution(low, high, step=abs(numbers[1] - numbers[0]))
        return kinds.CategoricalDistribution(texts)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise UserError("hydra/sweeper=optuna needs the extra: pip install 'resnet-lab[search]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    return optuna
