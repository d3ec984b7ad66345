"""The command: bring W&B level with what the run folders below a folder hold. Free of torch."""

import logging
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.progress import track

from resnet_lab.config.schema import LoggerConfig, TrainConfig
from resnet_lab.errors import UserError, printable, several
from resnet_lab.fields import check
from resnet_lab.models.stored import checkpoints_in
from resnet_lab.report.collect import FoundRun, collect, run_folders, to_stderr
from resnet_lab.report.compare import names_of_runs
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.lock import holder
from resnet_lab.runs.record import Environment, Failure, Record, State
from resnet_lab.runs.recording import opened
from resnet_lab.tracking import workspace
from resnet_lab.tracking.account import PROJECT, from_environment, why_offline
from resnet_lab.tracking.facts import facts_of
from resnet_lab.tracking.rows import Row, all_rows, rows_to, told_by_one
from resnet_lab.tracking.unsent import sent
from resnet_lab.tracking.wandb_run import Begun, WandbRun, close, one_line, silence
from resnet_lab.tracking.wandb_sweep import experiments_of, tell, view_of

log = logging.getLogger(__name__)

PASSED_OVER = {State.NEW: "it has not begun", State.RUNNING: "it tells by itself while it trains"}


@dataclass(frozen=True)
class Target:
    """Where runs go, where the command line says so."""

    folder: Path  # whose wandb/ takes the files of what cannot be sent
    project: str | None = None
    entity: str | None = None
    workspace: bool = False  # a saved view of the runs, too
    dry_run: bool = False  # print the view, and send nothing
    offline: str | None = None  # why nothing can be sent

    def of(self, config: LoggerConfig) -> LoggerConfig:
        """Return what the run was to use, offline where the server cannot be reached."""
        given = replace(config, project=self.project or config.project, entity=self.entity or config.entity)
        given = from_environment(replace(given, mode="auto"))
        return replace(given, mode="offline") if self.offline else given


def sync(target: Target) -> int:
    """Send each run what W&B lacks of it, under its own id; without a key or a network, as files in `folder`/wandb.

    A run that fails costs one line and does not stop the others; 0: none did. Raises UserError when there is no run, or
    for a name that W&B does not take.
    """
    check(LoggerConfig(project=target.project, entity=target.entity), "--")
    mode = from_environment(LoggerConfig()).mode  # reports once if a name in it is wrong
    if not target.folder.is_dir():
        raise UserError(f"{target.folder} is not a folder")
    paths = sorted(run_folders(target.folder, to_stderr))
    if not paths:
        raise UserError(f"{target.folder} holds no run")
    if target.dry_run and not target.workspace:
        raise UserError("--dry-run prints the view of --workspace: ask for both")
    if target.workspace:
        workspace.check()
    if target.dry_run:
        print(workspace.spec(_view(target, collect(target.folder))))
        return 0
    target = replace(target, offline=why_offline(mode))
    silence()
    runs = collect(target.folder, log.debug)
    names = dict(zip((run.path for run in runs), names_of_runs(runs), strict=True))
    level, rows, failed = 0, 0, 0
    bar = Console(stderr=True)
    try:
        failed += _tell_sweeps(target, runs)  # before the runs: what was made last is what is seen first
        for path in track(paths, "W&B", console=bar, disable=not bar.is_terminal, transient=True):
            try:
                sent = _bring_level(RunFolder(path), target, names.get(path, ""))
            except Exception as error:
                failed += 1
                to_stderr(f"{printable(path)}: {one_line(error)}")
            else:
                level += sent is not None
                rows += sent or 0
        if target.workspace and target.offline:
            failed += 1
            to_stderr(f"a view needs W&B's server, which is offline ({target.offline}); --dry-run prints it")
        elif target.workspace:
            print(f"the view of the sweep: {workspace.save(_view(target, runs), target.folder)}")
    except Exception as error:  # of the view: each run, and the results of each sweep, fail alone
        failed += 1
        to_stderr(f"--workspace: {one_line(error)}")
    finally:
        close()
    print(_said(target, level, rows))
    return 1 if failed else 0


def _bring_level(run: RunFolder, target: Target, name: str) -> int | None:
    """Return how many rows W&B lacked of a run, None if it is passed over; raise what keeps it from being sent."""
    state = run.state()
    if state in PASSED_OVER:
        to_stderr(f"passed over {printable(run.path)}: {PASSED_OVER[state]}")
        return None
    config = run.config()
    record = run.record() or _unfinished(run, config)
    facts = facts_of(config, record, run.path, holder(run.lock_file).get("host"))
    facts = replace(facts, name=run.title() or name or facts.name)
    with told_by_one(run.path):
        shown = WandbRun(target.of(config.logger), facts, run.path, place=target.folder)
        lacking = shown.level(_certain(run, state))
        shown.finish(facts)
    _check_taken(shown, target)
    if shown.offline is None:
        sent(run.path)
    return lacking


def _tell_sweeps(target: Target, runs: list[FoundRun]) -> int:
    """Upload the results of each experiment as a W&B run; how many of them could not be sent."""
    failed = 0
    for name, members in experiments_of(runs).items():
        if len(members) > 1:
            try:
                _check_taken(tell(members, target.of(_logger(members[0])), target.folder), target)
            except Exception as error:
                failed += 1
                to_stderr(f"the results of {printable(name)}: {one_line(error)}")
    return failed


def _check_taken(sent: WandbRun | Begun, target: Target) -> None:
    """Raise UserError where a server could be reached and did not take it."""
    if sent.refused:
        raise UserError(f"{sent.offline}; it lies in {target.folder / 'wandb'}")


def _view(target: Target, runs: list[FoundRun]) -> workspace.View:
    config = target.of(_logger(runs[0]))
    entity = config.entity or ("YOUR-ENTITY" if target.dry_run else workspace.own_entity())
    return view_of(runs, target.folder, config.project or PROJECT, entity)


def _logger(run: FoundRun) -> LoggerConfig:
    return RunFolder(run.path).config().logger


def _unfinished(run: RunFolder, config: TrainConfig) -> Record:
    """Return what is known of a run that was killed."""
    error = Failure("interrupted", "run the same command again to resume")
    record = opened(config, holder(run.lock_file).get("first_started"))
    return replace(record, environment=Environment(), error=error)


def _certain(run: RunFolder, state: State) -> list[Row]:
    """Return the rows that will not change: those that a checkpoint knows, where a run may go on from one."""
    rows = all_rows(run.path)
    known = [int(path.stem) for path in checkpoints_in(run.checkpoints)]
    return rows if state == State.FINISHED else rows_to(rows, max(known, default=None))


def _said(target: Target, level: int, rows: int) -> str:
    runs = several(level, "run")
    if target.offline is None:
        return f"W&B is level with {runs}: {rows} rows were sent"
    folder = shlex.quote(str(target.folder))
    lie = "lies" if level == 1 else "lie"
    return (
        f"W&B is offline ({target.offline}): {runs} {lie} in {printable(target.folder / 'wandb')}\n"
        f"  to see them:  wandb leet {folder}/wandb\n"
        f"  to send them: resnet-lab sync {folder}"
    )
