"""Start what `resnet-lab train` asks for: one run, or a sweep. Free of torch at import."""

import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra._internal.callbacks import Callbacks
from hydra.core.plugins import Plugins
from hydra.errors import InstantiationException
from hydra.types import HydraContext
from omegaconf import DictConfig

from resnet_lab.config.compose import config_loader
from resnet_lab.config.hydra_errors import one_line
from resnet_lab.config.request import Request, is_grid
from resnet_lab.config.schema import TrainConfig
from resnet_lab.cores import COMMAND
from resnet_lab.errors import UserError, several
from resnet_lab.extras import registered
from resnet_lab.runs.devices import check, this_process
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.record import Record, State
from resnet_lab.runs.recording import lacking
from resnet_lab.runs.successors import extended, of_other_code
from resnet_lab.runs.successors import fresh as trained_anew
from resnet_lab.sweeps.jobs import Job, name_jobs
from resnet_lab.sweeps.plugins import Task


def train(overrides: list[str], multirun: bool, *, fresh: bool = False, retry_failed: bool = False) -> int:
    """Bring a run, or every run of a sweep, to its end; 0: all are finished, 1: one is not.

    `fresh` trains finished runs again, each in a new folder beside the old one; `retry_failed` also trains the runs of
    a sweep that diverged.

    Raises UserError before anything is written when the configuration of any run is wrong.
    """
    request = Request(overrides, multirun=multirun)
    if not multirun:
        if retry_failed:
            raise UserError(
                "--retry-failed is for a sweep (-m): a single run that failed is always tried again"
            )
        return run(request, fresh=fresh)[1]
    jobs = sweep(request, fresh=fresh, retry_failed=retry_failed)
    ended = (State.FINISHED, State.ALREADY)
    return 0 if all(job.pruned or (job.status in ended and not job.diverged) for job in jobs) else 1


def run(request: Request, *, fresh: bool = False) -> tuple[RunFolder, int]:
    """Bring one run to its end in this process, and return its folder and the exit code."""
    config = request.run()
    if fresh:
        (config,) = trained_anew([config])
    check(config.trainer, config.precision)
    list(_lines_of_extras("before runs", [config]))  # the run itself tells these lines
    first = this_process(config.trainer).is_first  # torchrun and srun start this command once a device
    if first and (runs := request.runs_of_experiment()) > 1:
        print(
            f"resnet-lab: this experiment defines a sweep of {runs} runs; training its default run only "
            "(add -m for all)",
            file=sys.stderr,
        )
    return finish(RunFolder.create(config), config, first=first)


def extend(path: Path, overrides: list[str]) -> int:
    """Train a finished run for longer, as a run of its own; 0: it is finished, 1: it is not."""
    folder, line = extended(path, overrides)
    print(line, file=sys.stderr, flush=True)
    return finish(folder, folder.config())[1]


def finish(folder: RunFolder, config: TrainConfig, *, first: bool = True) -> tuple[RunFolder, int]:
    """Bring a run to its end in this process, and return its folder and the exit code; the `first` process tells."""
    before = folder.state()
    if first and before not in (State.FINISHED, State.RUNNING):
        print(_begins(folder.path, config, before), file=sys.stderr, flush=True)
    from resnet_lab.runs.__main__ import main

    code = main([str(folder.path)])
    if code == 0 and first:
        record = folder.record() or Record()
        finished = "already finished" if before == State.FINISHED else "finished"
        figure = config.objective.said(record.last.get(config.objective.metric))
        tested = ""
        if record.tested != "last":
            epoch, best = record.kept.get("epoch"), next(iter(record.kept), "")
            tested = f" with the weights of epoch {epoch:.0f}, the best by {best}"
        for line in (
            f"{finished}, {figure}{tested}",
            lacking(config, record, folder.path),
            record.data.not_promised,
        ):
            if line:
                print(f"{folder.path}: {line}")
    return folder, code


def _begins(path: Path, config: TrainConfig, before: State) -> str:
    """Say what the next minutes are for: loading PyTorch alone takes seconds."""
    verb, recipe = "training" if before == State.NEW else "resuming", config.recipe
    length = several(recipe.epochs or 0, "epoch")
    if recipe.iterations:
        length = several(recipe.iterations, "iteration")
    what = f"{verb} {config.model.label} on {config.data.name} for {length}"
    return f"{path}: {what}; Ctrl-C stops it, and the same command resumes"


def sweep(request: Request, *, fresh: bool = False, retry_failed: bool = False) -> list[Job]:
    """Bring every run of a multirun to its end, by Hydra's sweeper and launcher, and return what became of each."""
    os.environ[COMMAND] = json.dumps(sys.argv)
    with tempfile.TemporaryDirectory() as scratch:
        hydra = request.hydra(f"hydra.sweep.dir={scratch}")  # where other launchers than ours write
        # A search composes as it goes, and checks what it may choose from.
        jobs = request.runs() if is_grid(hydra) else {}
        if fresh and not jobs:
            raise UserError("train --fresh is for a grid: a search decides by the runs that are there")
        if fresh:
            jobs = dict(zip(jobs, trained_anew(list(jobs.values())), strict=True))
        task = Task(jobs, retry_failed=retry_failed)
        for line in _lines_of_extras("before runs", list(task.composed.values())):
            print(line, flush=True)
        _launch(hydra, task, request.arguments)
    # A launcher that is not ours may have called the task in other processes.
    ended = task.jobs or [Job.left(config) for config in task.composed.values()]
    if not task.ours:
        from resnet_lab.sweeps.board import print_summary

        name_jobs(ended)
        print_summary(ended)
    of_others = Counter(of_other_code(job.folder) for job in ended if job.status == State.ALREADY)
    for line, count in of_others.items():
        if line:
            print(f"resnet-lab: {count} of {len(ended)} runs: {line}", file=sys.stderr)
    for line in _lines_of_extras("after a sweep", [job.config for job in ended]):
        print(line)
    return ended


def _lines_of_extras(when: str, configs: Sequence[TrainConfig]) -> Iterator[str]:
    """Yield what the extras say of runs that begin or have ended, a line each; UserError where none may begin."""
    for tell in registered(when).values():
        yield from tell(configs)


def _launch(config: DictConfig, task: Task, arguments: list[str]) -> None:
    """Hand a grid's jobs to the launcher that `config.hydra` names, or the task's arguments to its sweeper.

    Raises UserError where one of them cannot be made, or another launcher cannot start.
    """
    plugins, context = Plugins.instance(), HydraContext(config_loader(), Callbacks(config))
    try:
        if is_grid(config):
            launcher = plugins.instantiate_launcher(context, task, config)
            launcher.launch(list(map(list, task.composed)), initial_job_idx=0)
        else:
            sweeper = plugins.instantiate_sweeper(hydra_context=context, task_function=task, config=config)
            sweeper.sweep(arguments)
    except UserError:
        raise
    except InstantiationException as error:
        cause = error.__cause__
        raise (cause if isinstance(cause, UserError) else one_line(error)) from None
    except Exception as error:
        if task.ours:
            raise
        kind = "hydra/launcher" if is_grid(config) else "hydra/sweeper"
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]  # of many, the last decided
        raise UserError(
            f"{kind}={config.hydra.runtime.choices[kind]} cannot start the runs: {reason}"
        ) from error
