"""Put runs together that differ only in the seed: mean, standard deviation, median over n seeds.

Runs that were computed under other conditions (threads, devices, ...) are kept apart, and each seed counts once.
"""

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from resnet_lab.columns import Column, names, objective, run_names
from resnet_lab.report.choices import FOLD, Choices, but_for_the_seed, conditions, differing
from resnet_lab.report.collect import FoundRun
from resnet_lab.report.spread import Spread
from resnet_lab.runs.record import State

# he2016 Table 1 prints "fail" for a net above this test error (per cent), on its data and schedule alone.
FAIL_ABOVE = 20.0
FAIL_DATA, FAIL_ITERATIONS = "cifar10", 64_000
GUESSING = 0.9  # of the error of guessing: what ends above that has learned nothing
BUILT_IN = ("test/loss", "test/error", "test/top5_error")


class Line:
    """The runs behind one line of a table: those of a group, or of several groups that were pooled."""

    runs: tuple[FoundRun, ...]

    @property
    def choices(self) -> Choices:
        raise NotImplementedError

    @property
    def settings(self) -> int:
        """Return from how many configurations the runs come."""
        return 1

    @cached_property
    def finished(self) -> tuple[FoundRun, ...]:
        return tuple(run for run in self.runs if run.state == State.FINISHED)

    @property
    def n(self) -> int:
        return len(self.finished)

    @property
    def diverged(self) -> int:
        """Return how many runs stopped because the loss was no longer finite."""
        return sum(run.error == "nonfinite_loss" for run in self.runs)

    @cached_property
    def objective(self) -> Column:
        """Return what the runs are judged by: the test error, unless they say otherwise."""
        return objective_of(self.runs[0].choices)

    @property
    def result(self) -> Spread:
        return self.last(self.objective.key)

    def last(self, metric: str) -> Spread:
        """Return a metric at the last iteration of the finished runs, for example ``test/error`` (per cent)."""
        found = {run.seed: value for run in self.finished if not math.isnan(value := run.last(metric))}
        return Spread(tuple(found.values()), tuple(found))

    def figure(self, column: Column) -> Spread:
        """Return a figure of the finished runs' records; a fact of the network only once."""
        if column.part == "last":
            return self.last(column.key)
        if column.part == "model":
            fact = self.fact(column.key)
            return Spread() if fact is None else Spread((fact,))
        return Spread(tuple(found for run in self.finished if (found := column.of(run.record)) is not None))

    def fact(self, name: str) -> Any:
        """Return a fact of the network that the records state, for example ``parameters``; None if none has ended."""
        facts = (getattr(run.record.model, name) for run in self.runs)
        return next((fact for fact in facts if fact is not None), None)

    @property
    def remarks(self) -> str:
        """Return how many runs are in which state, other than finished."""
        return ", ".join(states_of(self.runs))


@dataclass(frozen=True)
class Group(Line):
    """Runs of one configuration under the same conditions, each with its own seed."""

    runs: tuple[FoundRun, ...]
    copies: tuple[FoundRun, ...] = ()  # further runs of seeds that are among `runs`

    @property
    def depth(self) -> int | None:
        return self.runs[0].depth

    @property
    def kind(self) -> str:
        return self.runs[0].kind

    @property
    def net(self) -> str:
        """Return ``residual (basic, A), 20 layers``; only the kind if its layers are not counted."""
        return self.kind if self.depth is None else f"{self.kind}, {self.depth} layers"

    @cached_property
    def choices(self) -> Choices:
        """Return what the runs share (and the first one's seed), and the conditions that any of them records."""
        known: dict[str, object] = {}
        for run in self.runs:
            known |= conditions(run.choices)
        return {**self.runs[0].choices, **known}

    @cached_property
    def metrics(self) -> list[str]:
        """List the further metrics of the final test, for example ``accuracy/cat``."""
        names = [name for run in self.finished for name in run.record.last if name.startswith("test/")]
        return [name.removeprefix("test/") for name in dict.fromkeys(names) if name not in BUILT_IN]

    @property
    def test(self) -> Spread:
        return self.last("test/error")

    @property
    def train(self) -> Spread:
        return self.last("train/error")

    @cached_property
    def at_best_epoch(self) -> Spread:
        """Return the test error at the epoch with the lowest validation error; empty without validation images."""
        found = []
        for run in self.finished:
            best, history = run.record.best, run.history
            if best and best["epoch"] in history.get("epoch", []) and "test/error" in history:
                found.append(history["test/error"][history["epoch"].index(best["epoch"])])
        return Spread(tuple(value for value in found if not math.isnan(value)))

    @property
    def like_he2016(self) -> bool:
        """Return whether he2016's "fail" applies: all of CIFAR-10, and no shorter schedule than the paper's."""
        whole = self.choices.get("data.name") == FAIL_DATA and self.choices.get("data.train_images") is None
        return whole and all(run.iterations >= FAIL_ITERATIONS for run in self.finished)

    @property
    def fails(self) -> bool:
        """Return whether half of its runs diverge or, where `like_he2016`, end above 20 % test error."""
        ends = [math.inf] * self.diverged + (list(self.test.values) if self.like_he2016 else [])
        return bool(ends) and statistics.median(ends) > FAIL_ABOVE

    @property
    def trains(self) -> bool:
        """Return whether half of its runs end and, where errors are compared, clearly better than guessing a class."""
        if self.objective.key != "test/error":
            return self.n > self.diverged
        ends = [math.inf] * self.diverged + list(self.test.values)
        classes = next((run.record.data.classes or 1 for run in self.finished), 1)
        return bool(ends) and statistics.median(ends) < GUESSING * 100 * (1 - 1 / classes)

    @property
    def remarks(self) -> str:
        """List what is not as it should be: failed and unfinished runs, copies, and failing as he2016 defines it."""
        records = [run.record for run in self.finished]
        costs = [run.record.cost for run in self.runs]
        counts = {
            "resumed with other threads": sum(len(cost.threads_in_turn) > 1 for cost in costs),
            "resumed on other devices": sum(len(cost.trained_on) > 1 for cost in costs),
            "stopped early": sum(record.stopped_early_at is not None for record in records),
            "shared their cores with others": sum(record.cost.shared_cores is True for record in records),
        }
        remarks = [*states_of(self.runs), *(f"{count} {what}" for what, count in counts.items() if count)]
        if self.copies:
            remarks.append(_counted_once(run.seed for run in (*self.runs, *self.copies)))
        if self.fails and self.like_he2016:
            remarks.append(f"fail (> {FAIL_ABOVE:.0f} %)")
        return ", ".join(remarks)


def objective_of(choices: Choices) -> Column:
    """Return what a run of these choices is judged by: the test error, unless it says otherwise."""
    return objective(choices.get("objective.metric") or "test/error", choices.get("objective.mode") or "min")


def states_of(runs: Iterable[FoundRun]) -> list[str]:
    """Say how many are not finished, for example ``1 failed: out_of_memory``, ``2 running``."""
    states = Counter(f"{run.state}: {run.error}" if run.error else run.state for run in runs)
    return [f"{count} {state}" for state, count in sorted(states.items()) if state != State.FINISHED]


def names_of(groups: Sequence[Group]) -> list[str]:
    """Return a name of each group that says only in what it differs, for example ``resnet-20 lr=0.1``."""
    return names([group.runs[0].label for group in groups], _varying([group.choices for group in groups]))


def names_of_runs(runs: Sequence[FoundRun]) -> list[str]:
    """Return a name of each run, for example ``resnet-20 lr=0.1 s0``."""
    return run_names(
        [run.label for run in runs],
        _varying([run.choices for run in runs], [FOLD]),
        [int(run.choices["seed"]) for run in runs],
        [run.path.name for run in runs],
    )


def _varying(every: Sequence[Choices], more: Sequence[str] = ()) -> list[dict[str, object]]:
    keys = [*differing(every), *more]
    return [{key: choices.get(key) for key in keys} for choices in every]


def summarise(runs: Iterable[FoundRun]) -> list[Group]:
    """Return the runs in groups that differ only in the seed: plain nets first, then by kind, depth and choices."""
    alike: dict[frozenset[tuple[str, Any]], list[FoundRun]] = {}
    for run in runs:
        alike.setdefault(frozenset(but_for_the_seed(run.choices).items()), []).append(run)
    made = [_group(members) for same in alike.values() for members in _by_conditions(same)]
    varying = differing(group.choices for group in made)
    return sorted(made, key=lambda group: (_rank(group), [ranked(group.choices.get(key)) for key in varying]))


def _by_conditions(runs: Sequence[FoundRun]) -> list[list[FoundRun]]:
    """Split runs by compute conditions. Runs whose conditions are unknown join the first group."""
    found: list[tuple[dict[str, object], list[FoundRun]]] = []
    for run in sorted(runs, key=lambda run: -len(conditions(run.choices))):
        known = conditions(run.choices)
        for shared, members in found:
            if all(shared.get(key, value) == value for key, value in known.items()):
                shared |= known
                members.append(run)
                break
        else:
            found.append((known, [run]))
    return [members for _, members in found]


def _group(runs: Sequence[FoundRun]) -> Group:
    """Take each seed once: a finished run before others, of those the last one finished, then the first by its path."""
    chosen: dict[int, FoundRun] = {}
    copies = []
    by_path = sorted(runs, key=lambda run: run.path)
    newest_first = sorted(by_path, key=lambda run: run.record.finished or "", reverse=True)
    for run in sorted(newest_first, key=lambda run: (run.seed, run.state != State.FINISHED)):
        if run.seed in chosen:
            copies.append(run)
        else:
            chosen[run.seed] = run
    return Group(tuple(chosen.values()), tuple(copies))


def _counted_once(seeds: Iterable[int]) -> str:
    """Return a remark such as ``seed 0 is there twice: counted once``."""
    times = {seed: count for seed, count in Counter(seeds).items() if count > 1}
    if len(times) > 1:
        return f"seeds {', '.join(map(str, sorted(times)))} are there more than once: each counted once"
    ((seed, count),) = times.items()
    return f"seed {seed} is there {'twice' if count == 2 else f'{count} times'}: counted once"


def keys_of_rows(groups: Sequence[Group]) -> list[str]:
    """Return the keys that a table must show beside depth and kind, because these do not decide them."""
    nets: dict[tuple[int | None, str], list[Group]] = {}
    for group in groups:
        nets.setdefault((group.depth, group.kind), []).append(group)
    return sorted({key for alike in nets.values() for key in differing(group.choices for group in alike)})


def _rank(group: Group) -> tuple[bool, str, int]:
    return group.kind != "plain", group.kind, group.depth or 0


def ranked(value: Any) -> tuple[str, float, str]:
    """Return the key that sorts values of any type: numbers by their size."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "number", float(value), ""
    return type(value).__name__, 0.0, str(value)
