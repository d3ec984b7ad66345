"""A search goes on where it was stopped, and ends as if it had not been."""

import importlib.util
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from resnet_lab.cli import main
from resnet_lab.config.request import Request
from resnet_lab.errors import UserError
from resnet_lab.report import collect
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.record import Failure, Record, State
from resnet_lab.sweeps.jobs import Job
from resnet_lab.sweeps.search import Search, SearchOptions
from swept import expanded

needs_optuna = pytest.mark.skipif(
    importlib.util.find_spec("optuna") is None, reason="the extra `search` is not installed"
)

SPACE = ["recipe.lr=tag(log, interval(0.01, 1))", "model.depth=8,14"]
Launch = Callable[[list[list[str]]], Sequence[float | None]]


@pytest.fixture
def search(tmp_path: Path) -> Callable[..., Search]:
    def make(*overrides: str, axes: Sequence[str] = SPACE, runs: str = "runs", **options: object) -> Search:
        given = ["data.validation=300", f"runs_root={tmp_path / runs}", *axes, *overrides]
        return Search(SearchOptions(**options), given)  # type: ignore[arg-type]

    return make


class Runs:
    """Stands in for a launcher: the error of a run follows from its learning rate."""

    def __init__(self, **stops: Exception | KeyboardInterrupt | None) -> None:
        self.rounds: list[list[list[str]]] = []
        self.stop = stops

    def __call__(self, jobs: list[list[str]]) -> list[float | None]:
        self.rounds.append(jobs)
        stop = self.stop.pop(f"round{len(self.rounds)}", None)
        if stop is not None:
            raise stop
        return [abs(math.log10(learning_rate(job)) + 1) for job in jobs]

    @property
    def jobs(self) -> list[list[str]]:
        return [job for jobs in self.rounds for job in jobs]


def learning_rate(job: list[str]) -> float:
    return next(float(text.partition("=")[2]) for text in job if text.startswith("recipe.lr="))


def choices(jobs: list[list[str]]) -> list[list[str]]:
    """What was chosen, without what was fixed."""
    return [[text for text in job if text.startswith(("recipe.", "model."))] for job in jobs]


@needs_optuna
@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_search_that_was_stopped_ends_as_one_that_was_not(
    search: Callable[..., Search], sampler: str
) -> None:
    calm, stopped, resumed = Runs(), Runs(round5=KeyboardInterrupt()), Runs()
    told = search(runs="calm", n_trials=24, sampler=sampler).run(calm)
    with pytest.raises(KeyboardInterrupt):
        search(n_trials=24, sampler=sampler).run(stopped)
    assert search(n_trials=24, sampler=sampler).run(resumed) == told
    assert choices(stopped.jobs[:16] + resumed.jobs) == choices(calm.jobs)
    assert told.startswith("search: 24 of 24 trials, lowest validation error 0.")


@needs_optuna
def test_finished_search_starts_nothing_and_more_trials_go_on_from_there(
    search: Callable[..., Search],
) -> None:
    first, again, more = Runs(), Runs(), Runs()
    told = search(n_trials=4).run(first)
    assert search(n_trials=4).run(again) == told
    assert again.rounds == []
    search(n_trials=8).run(more)
    assert len(more.jobs) == 4
    assert all(f"{learning_rate(job):.3g}" == f"{learning_rate(job)}" for job in more.jobs)  # three digits
    assert not [job for job in more.jobs if job in first.jobs]


@needs_optuna
def test_trial_that_failed_is_tried_again_by_the_same_command(search: Callable[..., Search]) -> None:
    tried: list[list[list[str]]] = []

    def launch(jobs: list[list[str]]) -> list[float | None]:
        tried.append(jobs)
        return [None if len(tried) == 1 and job is jobs[1] else 1.0 for job in jobs]

    assert "3 of 4 trials" in search(n_trials=4).run(launch)
    assert "4 of 4 trials" in search(n_trials=4).run(launch)
    assert tried[1] == [tried[0][1]]


@needs_optuna
def test_another_question_in_the_same_folder_is_another_search(search: Callable[..., Search]) -> None:
    search(n_trials=4).run(Runs())
    search("recipe.epochs=7", n_trials=4).run(other := Runs())
    search("trainer.devices=2", n_trials=4).run(same := Runs())
    assert len(other.jobs) == 4
    assert same.jobs == []


@needs_optuna
def test_hydras_sweep_syntax_is_the_space(search: Callable[..., Search]) -> None:
    axes = [
        "recipe.weight_decay=interval(0, 0.001)",
        "recipe.epochs=int(interval(2, 5))",
        "recipe.batch_size=range(32, 129, 32)",
        "model.shortcut=choice(A,B)",
    ]
    seen: list[list[str]] = []
    search(axes=axes, n_trials=30, batch=30, sampler="random").run(lambda jobs: seen.extend(jobs) or [])  # type: ignore[func-returns-value]
    values: dict[str, set[str]] = defaultdict(set)
    for key, _, value in (text.partition("=") for job in seen for text in job):
        values[key].add(value)
    assert all(0 <= float(value) <= 0.001 for value in values["recipe.weight_decay"])
    assert values["recipe.epochs"] == {"2", "3", "4", "5"}
    assert values["recipe.batch_size"] == {"32", "64", "96", "128"}
    assert values["model.shortcut"] == {"A", "B"}


@needs_optuna
@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["data.validation=0"], "a search would choose on the test set"),
        (["model.depth=8,21"], "model.depth=21"),
        (["model.block=basic,basc"], "did you mean 'basic'"),
        (["model.block=glob(*)"], "values written out"),
        (["recipe.lr=tag(log, interval(0, 1))"], r"recipe\.lr=.*low"),
    ],
)
def test_what_makes_no_search_is_refused_before_it_starts(
    search: Callable[..., Search], overrides: list[str], told: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=told):
        search(*overrides)
    with pytest.raises(UserError, match="nothing to search over"):
        search(axes=[])
    assert not (tmp_path / "runs").exists()


@needs_optuna
def test_a_trial_over_seeds_is_their_mean(search: Callable[..., Search]) -> None:
    told: list[list[list[str]]] = []

    def launch(jobs: list[list[str]]) -> list[float | None]:
        told.append(jobs)
        return [10.0 if "seed=0" in job else 20.0 for job in jobs]

    assert "lowest validation error 15.00 %" in search("seed=0,1", n_trials=3, batch=3).run(launch)
    [jobs] = told
    assert len(jobs) == 6
    assert [job[:-1] for job in jobs[::2]] == [job[:-1] for job in jobs[1::2]]
    again: list[list[list[str]]] = []
    search("seed=0,1", n_trials=3, batch=3).run(lambda jobs: again.append(jobs) or [])  # type: ignore[func-returns-value]
    assert again == []


@needs_optuna
def test_trial_worse_than_the_median_of_earlier_rounds_is_stopped_and_counted(
    search: Callable[..., Search],
) -> None:
    """A run is written as it would be: the figure of each epoch, ten times its learning rate at first."""
    medians: dict[float, list[float | None]] = {}

    def launch(jobs: list[list[str]]) -> list[float | None]:
        found: list[float | None] = []
        for job in jobs:
            config = Request(job).run()
            folder = RunFolder.create(config)
            rate, stop = learning_rate(job), config.callbacks.extra.get("medians")
            curve = [10 * rate, 5 * rate, rate]
            medians[rate] = stop["medians"] if stop else []
            worse = [epoch for epoch, bound in enumerate(medians[rate]) if bound and curve[epoch] > bound]
            curve = curve[: worse[0] + 1] if worse else curve
            lines = ["epoch,iteration,val/error", *(f"{n},{n},{each:.6g}" for n, each in enumerate(curve, 1))]
            folder.history_file.write_text("\n".join([*lines, ""]))
            found.append(None if worse else curve[-1])
            error = Failure("pruned", "worse") if worse else None
            state = State.FAILED if worse else State.FINISHED
            folder.write_record(Record(state=state, error=error))
        return found

    options = {"n_trials": 8, "pruner": "median", "prune_after": 2, "sampler": "random"}
    told = search(**options).run(launch)
    assert sum(bool(each) for each in medians.values()) == 4, "four trials are trained to their end first"
    first = sorted(rate for rate, each in medians.items() if not each)
    fifth = next(each for each in medians.values() if each)
    middle = (first[1] + first[2]) / 2
    assert fifth == [None, pytest.approx(5 * middle, rel=1e-4), pytest.approx(middle, rel=1e-4)]
    stopped = sum(bool(each) and 5 * rate > (each[1] or 0) for rate, each in medians.items())
    assert f"8 of 8 trials, {stopped} of them stopped early" in told
    assert 0 < stopped < 4
    again = Runs()
    assert search(**options).run(again) == told
    assert again.rounds == []


def test_stopped_trial_goes_on_without_the_search_to_the_same_weights(tmp_path: Path) -> None:
    tiny = [
        "model.depth=8",
        "model.width=4",
        "data.train_images=64",
        "data.validation=100",
        "recipe.epochs=3",
    ]
    tiny += [
        "trainer.accelerator=cpu",
        "trainer.threads=1",
        "trainer.progress=false",
        f"runs_root={tmp_path}",
    ]
    bound = "_target_:resnet_lab.training.median.MedianStop,identity:false,monitor:val/error,mode:min"
    assert main(["train", *tiny, f"callbacks.extra.medians={{{bound},medians:[null,0.1]}}"]) == 1
    [run] = collect(tmp_path)
    assert (run.state, run.error, len(run.history["epoch"])) == (State.STOPPED, "pruned", 2)
    assert main(["train", *tiny]) == 0
    assert main(["train", *tiny, "name=calm"]) == 0
    resumed, calm = sorted(collect(tmp_path), key=lambda run: run.path.parent.name == "calm")
    assert resumed.path == run.path
    assert resumed.record.resumes == 1
    weights = [(each.path / "weights.safetensors").read_bytes() for each in (resumed, calm)]
    assert weights[0] == weights[1]


def test_missing_optuna_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError, match=r"pip install 'resnet-lab\[search\]'"):
        Search(SearchOptions(), SPACE)


def test_plan_answers_a_search_with_one_line() -> None:
    with pytest.raises(UserError, match="a search decides as it goes"):
        expanded(["hydra/sweeper=optuna", *SPACE])


def test_run_that_diverged_is_as_bad_as_can_be(make_job: Callable[..., Job]) -> None:
    for kind, objective in (("nonfinite_loss", 100.0), ("disk_full", None), ("pruned", None)):
        job = make_job(0, "finish")
        job.folder.write_record(Record(error=Failure(kind, "no good")))
        job.settle()
        assert job.objective() == objective
        assert job.status == (State.STOPPED if kind == "pruned" else State.FAILED)


@needs_optuna
@pytest.mark.slow
def test_killed_search_continues_by_the_same_command(tmp_path: Path) -> None:
    tiny = ["trainer.accelerator=cpu", "data.validation=300", "data.train_images=256", "recipe.epochs=1"]
    options = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=4", "hydra.sweeper.batch=2"]
    command = [sys.executable, "-m", "resnet_lab", "train", "-m", *options, *tiny]
    command += ["recipe.lr=tag(log, interval(0.01, 1))", "model.depth=8,14"]
    calm = subprocess.run([*command, f"runs_root={tmp_path / 'calm'}"], capture_output=True, text=True)
    killed = subprocess.Popen([*command, f"runs_root={tmp_path / 'killed'}"], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while len(list((tmp_path / "killed").rglob("lock"))) < 3:  # within the second round
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    again = subprocess.run([*command, f"runs_root={tmp_path / 'killed'}"], capture_output=True, text=True)
    assert again.returncode == 0, again.stdout + again.stderr
    [before, after] = [re.findall("^search: .*", run.stdout, re.MULTILINE) for run in (calm, again)]
    assert before == after != []
