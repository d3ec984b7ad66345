"""Runs that differ only in the seed, put together: mean, standard deviation, median over n seeds.

Runs that were computed under other conditions (threads, devices, ...) are kept apart, and each seed counts once.
"""

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from resnet_lab.columns import Column, objective
from resnet_lab.report.choices import Choices, but_for_the_seed, conditions, differing
from resnet_lab.report.collect import FoundRun
from resnet_lab.report.spread import Spread
from resnet_lab.runs.record import State

# he2016 Table 1 prints "fail" for a net above this test error (per cent), on its data and schedule alone.
FAIL_ABOVE = 20.0
FAIL_DATA, FAIL_ITERATIONS = "cifar10", 64_000
GUESSING = 0.9  # of the error of guessing: what ends above that has learned nothing
BUILT_IN = ("test/loss", "test/error", "test/top5_error")


@dataclass(frozen=True)
class Group:
    """Runs of one configuration under the same conditions, each with its own seed."""

    runs: tuple[FoundRun, ...]
    copies: tuple[FoundRun, ...] = ()  # further runs of seeds that are among `runs`
    settings: int = 1  # of which a Pool can have several

    @property
    def depth(self) -> int | None:
        return self.runs[0].depth

    @property
    def net(self) -> str:
        """Return ``residual (basic, A), 20 layers``; only the kind if its layers are not counted."""
        return self.kind if self.depth is None else f"{self.kind}, {self.depth} layers"

    @property
    def kind(self) -> str:
        return self.runs[0].kind

    @cached_property
    def choices(self) -> Choices:
        """Return what the runs share (and the first one's seed); of their conditions what any of them tells."""
        known: dict[str, object] = {}
        for run in self.runs:
            known |= conditions(run.choices)
        return {**self.runs[0].choices, **known}

    @cached_property
    def finished(self) -> tuple[FoundRun, ...]:
        return tuple(run for run in self.runs if run.state == State.FINISHED)

    @property
    def n(self) -> int:
        return len(self.finished)

    def last(self, metric: str) -> Spread:
        """Return a metric at the last iteration over the finished runs, for example ``test/error`` (per cent)."""
        found = {run.seed: value for run in self.finished if not math.isnan(value := run.last(metric))}
        return Spread(tuple(found.values()), tuple(found))

    @cached_property
    def metrics(self) -> list[str]:
        """Return the further ones of the final test that its runs recorded, for example ``accuracy/cat``."""
        names = [name for run in self.finished for name in run.record.last if name.startswith("test/")]
        return [name.removeprefix("test/") for name in dict.fromkeys(names) if name not in BUILT_IN]

    @cached_property
    def objective(self) -> Column:
        """Return what its runs are judged by: the test error, unless they say otherwise."""
        return objective_of(self.choices)

    @property
    def result(self) -> Spread:
        return self.last(self.objective.key)

    @property
    def test(self) -> Spread:
        return self.last("test/error")

    @property
    def train(self) -> Spread:
        return self.last("train/error")

    @cached_property
    def at_best_epoch(self) -> Spread:
        """Test error at the epoch with the lowest validation error; empty where nothing was set aside."""
        found = []
        for run in self.finished:
            best, history = run.record.best, run.history
            if best and best["epoch"] in history.get("epoch", []) and "test/error" in history:
                found.append(history["test/error"][history["epoch"].index(best["epoch"])])
        return Spread(tuple(value for value in found if not math.isnan(value)))

    def cost(self, name: str) -> Spread:
        """Return a figure of the records' ``cost`` over the finished runs, for example ``train_seconds``."""
        found = (getattr(run.record.cost, name) for run in self.finished)
        return Spread(tuple(value for value in found if value is not None))

    def figure(self, column: Column) -> Spread:
        """Return a figure of the record over the finished runs; a fact of the net once."""
        if column.part == "model":
            fact = self.fact(column.key)
            return Spread() if fact is None else Spread((fact,))
        return self.last(column.key) if column.part == "last" else self.cost(column.key)

    def fact(self, name: str) -> Any:
        """Return a fact of the net that the records state, for example ``parameters``; None before a run has ended."""
        facts = (getattr(run.record.model, name) for run in self.runs)
        return next((fact for fact in facts if fact is not None), None)

    @property
    def diverged(self) -> int:
        """Return how many runs stopped because the loss was no longer finite."""
        return sum(run.error == "nonfinite_loss" for run in self.runs)

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
        remarks = states_of(self.runs)
        moved = sum(len(run.record.cost.trained_on) > 1 for run in self.runs)
        threads = sum(len(run.record.cost.threads_in_turn) > 1 for run in self.runs)
        if threads:
            remarks.append(f"{threads} resumed with other threads")
        if moved:
            remarks.append(f"{moved} resumed on other devices")
        early = sum(run.record.stopped_early_at is not None for run in self.finished)
        if early:
            remarks.append(f"{early} stopped early")
        if busy := sum(run.record.cost.shared_cores is True for run in self.finished):
            remarks.append(f"{busy} shared their cores with others")
        if self.copies:
            remarks.append(_counted_once(run.seed for run in (*self.runs, *self.copies)))
        if self.fails and self.like_he2016:
            remarks.append(f"fail (> {FAIL_ABOVE:.0f} %)")
        return ", ".join(remarks)


def objective_of(choices: Choices) -> Column:
    """Return what a run of these choices is judged by: the test error, unless it says otherwise."""
    return objective(choices.get("objective.metric") or "test/error", choices.get("objective.mode") or "min")


def states_of(runs: Iterable[FoundRun]) -> list[str]:
    """Return how many are not finished, for example ``1 failed: out_of_memory``, ``2 running``."""
    states = Counter(f"{run.state}: {run.error}" if run.error else run.state for run in runs)
    return [f"{count} {state}" for state, count in sorted(states.items()) if state != State.FINISHED]


def summarise(runs: Iterable[FoundRun]) -> list[Group]:
    """Return the runs in groups that differ only in the seed: plain nets first, then by kind, depth and choices."""
    alike: dict[frozenset[tuple[str, Any]], list[FoundRun]] = {}
    for run in runs:
        alike.setdefault(frozenset(but_for_the_seed(run.choices).items()), []).append(run)
    made = [_group(members) for same in alike.values() for members in _by_conditions(same)]
    varying = differing(group.choices for group in made)
    return sorted(made, key=lambda group: (_rank(group), [ranked(group.choices.get(key)) for key in varying]))


def _by_conditions(runs: Sequence[FoundRun]) -> list[list[FoundRun]]:
    """Runs of one configuration, apart by how they were computed; what is not known yet fits the first of them."""
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
    """Each seed once: a finished run before others, of those the last one finished, then the first by its path."""
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
