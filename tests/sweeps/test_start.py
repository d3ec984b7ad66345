"""A sweep from its command line: composed once, and left alone where it is finished."""

from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hydra.core.plugins import Plugins

from resnet_lab import cli
from resnet_lab.config import compose
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.record import Failure, Record, State
from resnet_lab.sweeps import start
from resnet_lab.sweeps.jobs import Job
from resnet_lab.sweeps.plugins import FolderLauncher
from run_folders import finished
from swept import configurations, runs_of_experiment

SWEEP = ["experiment=quickstart", "seed=0,1"]  # 8 runs


@pytest.fixture
def done(tmp_path: Path) -> list[RunFolder]:
    """The runs of the sweep, all finished."""
    return [finished(config, 1.0) for config in configurations([*SWEEP, f"runs_root={tmp_path}"])]


def test_each_run_is_composed_once(
    done: list[RunFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    composed = []
    original = compose.completed
    monkeypatch.setattr(compose, "completed", lambda config, **_: composed.append(config) or original(config))
    assert start.train([*SWEEP, f"runs_root={tmp_path}"], multirun=True) == 0
    assert len(composed) == len(done) == 8
    assert "8 runs: 8 already there" in capsys.readouterr().out


def test_damaged_run_fails_and_the_others_are_told(
    done: list[RunFolder], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done[3].record_file.write_text("[]")
    assert start.train([*SWEEP, f"runs_root={tmp_path}"], multirun=True) == 1
    out = capsys.readouterr().out
    assert "8 runs: 7 already there, 1 failed" in out
    assert out.count("record.json cannot be read (it is not a record)") == 1


def test_a_run_that_diverged_is_an_answer_and_not_trained_again(
    done: list[RunFolder], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = Record(error=Failure("nonfinite_loss", "the loss is nan at iteration 7"))
    done[3].write_record(lost)
    before = done[3].record_file.read_bytes()
    assert start.train([*SWEEP, f"runs_root={tmp_path}"], multirun=True) == 1
    out = capsys.readouterr().out
    assert "8 runs: 8 already there" in out
    assert "--retry-failed: the loss is nan at iteration 7" in out
    assert done[3].record_file.read_bytes() == before
    assert Job.of(done[3].config()).status == State.ALREADY
    assert Job.of(done[3].config(), retry_failed=True).status == State.WAITING


@pytest.mark.parametrize("damaged", [False, True])
def test_launcher_that_is_not_ours_runs_the_same_jobs(
    damaged: bool, done: list[RunFolder], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Hydra's own, which calls the task for one job after another in this process."""
    if damaged:
        done[3].config_file.write_text("{")
    code = start.train([*SWEEP, f"runs_root={tmp_path}", "hydra/launcher=basic"], multirun=True)
    assert code == damaged
    assert sorted(path.name for path in (tmp_path / "quickstart").iterdir()) == sorted(
        f.path.name for f in done
    )


def set_launch(monkeypatch: pytest.MonkeyPatch, launch: Callable[..., Any]) -> None:
    """Let Hydra's own launcher do this instead."""
    Plugins.instance()  # which imports it anew
    module = import_module("hydra._internal.core_plugins.basic_launcher")
    monkeypatch.setattr(module.BasicLauncher, "launch", launch)


def test_interrupt_under_a_launcher_that_is_not_ours_ends_the_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = []
    monkeypatch.setattr("resnet_lab.runs.__main__.main", lambda folder: began.append(folder) or 130)
    asked = ["seed=0,1", f"runs_root={tmp_path}", "hydra/launcher=basic"]
    assert cli.main(["train", "-m", *asked]) == 130
    assert len(began) == 1


def test_launcher_that_cannot_start_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def launch(*_: Any, **__: Any) -> None:
        raise RuntimeError("many words\nno such cluster")

    set_launch(monkeypatch, launch)
    assert cli.main(["train", "-m", "debug=true", f"runs_root={tmp_path}", "hydra/launcher=basic"]) == 2
    assert (
        capsys.readouterr().err == "resnet-lab: hydra/launcher=basic cannot start the runs: no such cluster\n"
    )


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``experiment("mine", launcher="basic")``: an experiment of the working folder that chooses its launcher."""
    monkeypatch.chdir(tmp_path)

    def write(name: str, options: str = "{}", **chosen: str) -> None:
        defaults = "".join(f"  - override /hydra/{group}: {option}\n" for group, option in chosen.items())
        file = tmp_path / "configs/experiment" / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"# @package _global_\ndefaults:\n{defaults}hydra: {{sweeper: {options}}}\n")

    return write


def test_launcher_of_an_experiment_is_obeyed_unless_another_is_typed(
    experiment: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    launched = []
    set_launch(monkeypatch, lambda _, jobs, **__: launched.append(jobs))
    monkeypatch.setattr(FolderLauncher, "launch", lambda *_, **__: None)
    experiment("mine", launcher="basic")
    experiment("other", launcher="local")
    cli.main(["train", "-m", "experiment=mine", "seed=0,1"])
    assert launched == [[["experiment=mine", "seed=0"], ["experiment=mine", "seed=1"]]]
    cli.main(["train", "-m", "experiment=mine", "debug=true", "hydra/launcher=local"])
    assert len(launched) == 1
    assert cli.main(["train", "-m", "experiment=mine,other"]) == 2
    assert "several of hydra/launcher: basic, local" in capsys.readouterr().err


def test_sweeper_of_an_experiment_is_obeyed(
    experiment: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr("resnet_lab.sweeps.search.Search", lambda *given: asked.append(given))
    experiment("mine", "{n_trials: 7}", sweeper="optuna")
    with suppress(AttributeError):  # the search that is none
        start.train(["experiment=mine", "model.depth=20,32"], multirun=True)
    [(options, arguments)] = asked
    assert options.n_trials == 7
    assert arguments == ["experiment=mine", "model.depth=20,32"]


def test_an_experiment_that_is_a_sweep_says_so_when_one_run_is_asked_for() -> None:
    assert runs_of_experiment(["experiment=quickstart"]) == 12
    assert runs_of_experiment(["experiment=quickstart", "seed=5"]) == 4
    assert runs_of_experiment(["model.depth=56"]) == 1
