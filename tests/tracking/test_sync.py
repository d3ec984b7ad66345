"""`resnet-lab sync FOLDER`: W&B is brought level with what lies there, as often as one likes."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import told
from resnet_lab.cli import main
from resnet_lab.config.grid import apart
from resnet_lab.runs.folder import RunFolder
from resnet_lab.sweeps.board import Board
from resnet_lab.sweeps.jobs import Job
from resnet_lab.tracking import unsent
from resnet_lab.training import surest_mistakes
from resnet_lab.training.answers import Answer, Answers
from run_folders import configured, failed, finished, interrupted, started, write_history
from wandb_server import WandbServer


@pytest.fixture
def sweep(tmp_path: Path) -> list[RunFolder]:
    """A finished run, a killed one, and one that failed; and one that never began."""
    root = tmp_path / "runs"
    started(configured(root, 20, seed=3))
    return [
        finished(configured(root, 20, seed=0), 1.5),
        interrupted(configured(root, 20, seed=1)),
        failed(configured(root, 20, seed=2)),
    ]


def place(sweep: list[RunFolder]) -> Path:
    return sweep[0].path.parent


def kept(server: WandbServer, sweep: list[RunFolder]) -> list[list[dict[str, Any]]]:
    return [told.plain(server.runs[told.run_id(run)].history) for run in sweep]


def test_every_run_is_sent_once_however_often_it_is_asked(
    sweep: list[RunFolder], server: WandbServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sync", str(place(sweep))]) == 0
    assert "level with 3 runs: 15 rows were sent" in capsys.readouterr().out
    first = {name: (run.rows, run.config, run.name) for name, run in server.runs.items()}
    assert kept(server, sweep) == [told.rows(run) for run in sweep]
    assert [server.runs[told.run_id(run)].exit_code for run in sweep] == [0, 1, 1]
    assert main(["sync", str(place(sweep))]) == 0
    shown = capsys.readouterr()
    assert "level with 3 runs: 0 rows were sent" in shown.out
    assert shown.err.count("it has not begun") == 1  # W&B's own folders are no runs
    assert {name: (run.rows, run.config, run.name) for name, run in server.runs.items()} == first
    assert len({server.runs[told.run_id(run)].config["same_but_seed"] for run in sweep}) == 1


def test_a_run_that_goes_on_is_sent_what_is_missing_once_a_checkpoint_knows_it(
    sweep: list[RunFolder], server: WandbServer
) -> None:
    run = sweep[1]
    run.checkpoints.mkdir()
    for iteration, sent in ((22, 1), (44, 2)):
        (run.checkpoints / f"{iteration:08d}.ckpt").touch()
        assert main(["sync", str(run.path)]) == 0
        assert kept(server, [run]) == [told.rows(run)[:sent]]
        write_history(run, [50.0, 20.0, 10.0])


def test_without_a_key_one_folder_has_the_whole_sweep_and_one_wandb_sync_sends_it(
    sweep: list[RunFolder], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        assert main(["sync", str(place(sweep))]) == 0
        assert "W&B is offline (no key" in capsys.readouterr().out
    files = told.offline_runs(place(sweep))
    runs = [each for each in files if each["run"][0]["job_type"] == "train"]
    rows = {each["run"][0]["run_id"]: told.plain([row["item"] for row in each["history"]]) for each in runs}
    assert len(files) == len(runs) + 1 == 4  # with the results
    assert not any(
        "environment" in each or each["run"][0].get("host") for each in runs
    )  # that of this machine
    assert rows == {told.run_id(run): told.rows(run) for run in sweep}
    server = WandbServer()
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef0123456789abcdef01234567")
    monkeypatch.setenv("WANDB_BASE_URL", server.address)
    wandb = str(Path(sys.executable).with_name("wandb"))
    subprocess.run([wandb, "sync", "--yes"], cwd=place(sweep), check=True, capture_output=True)
    assert kept(server, sweep) == [told.rows(run) for run in sweep]
    assert main(["sync", str(place(sweep))]) == 0
    assert kept(server, sweep) == [told.rows(run) for run in sweep]
    server.lose()


def test_what_wandb_sync_has_sent_is_not_written_again(sweep: list[RunFolder]) -> None:
    run = sweep[1]
    assert main(["sync", str(run.path)]) == 0
    [file] = (run.path / "wandb").glob("offline-run-*/*.wandb")
    file.with_name(f"{file.name}.synced").touch()
    sent = told.rows(run)
    write_history(run, [50.0, 20.0, 10.0])
    assert main(["sync", str(run.path)]) == 0
    assert told.offline_rows(run) == [sent, told.rows(run)[2:]]


def test_one_run_that_fails_does_not_stop_the_others(
    sweep: list[RunFolder], server: WandbServer, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep[0].record_file.write_text("{")
    (sweep[1].path / "config.yaml").write_text("model: [")
    assert main(["sync", str(place(sweep))]) == 1
    assert kept(server, sweep[2:]) == [told.rows(sweep[2])]
    lines = capsys.readouterr().err
    assert str(sweep[0].path) in lines
    assert str(sweep[1].path) in lines


def test_server_that_refuses_is_one_line_a_run_and_a_failure(
    sweep: list[RunFolder], server: WandbServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.refuse = 404
    assert main(["sync", str(sweep[0].path)]) == 1
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("resnet-lab:")]
    assert not {"{", "}", '"'} & set(line)
    server.refuse = None
    assert main(["sync", str(sweep[0].path)]) == 0
    assert kept(server, sweep[:1]) == [told.rows(sweep[0])]


def test_runs_of_other_devices_have_runs_of_their_own(tmp_path: Path, server: WandbServer) -> None:
    both = apart([configured(tmp_path / "runs", **{"trainer.devices": devices}) for devices in (1, 2)])
    runs = [finished(config, 1.0) for config in both]
    assert main(["sync", str(tmp_path / "runs")]) == 0
    assert kept(server, runs) == [told.rows(run) for run in runs]
    names = [server.runs[told.run_id(run)].name for run in runs]
    assert [name.rpartition("-")[0] for name in names] == ["resnet-20 devices=1 s0", "resnet-20 devices=2 s0"]
    assert len(server.runs) == 2 + 1  # with the results


def test_old_results_are_sent_as_they_are(server: WandbServer, tmp_path: Path) -> None:
    results = Path(__file__).parents[2] / "results" / "quickstart" / "resnet-20-s0-9df5edcc"
    copy = tmp_path / results.name
    copy.mkdir()
    for name in ("config.yaml", "record.json", "history.csv"):
        (copy / name).write_bytes((results / name).read_bytes())
    assert main(["sync", str(copy)]) == 0
    record = json.loads((copy / "record.json").read_text())
    [run] = server.runs.values()
    assert told.plain(run.history) == told.rows(RunFolder(copy))
    assert run.summary["test/error"] == record["last"]["test/error"]


@pytest.mark.parametrize(
    ("options", "project", "told"),
    [
        (["--project", "a/b"], "", "--project=a/b: must not have '/' in it"),
        ([], "a/b", "the environment gives logger.project=a/b: must not have '/' in it"),
    ],
)
def test_name_that_wandb_does_not_take_is_a_mistake_in_one_line(
    options: list[str],
    project: str,
    told: str,
    sweep: list[RunFolder],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("WANDB_PROJECT", project)
    assert main(["sync", str(place(sweep)), *options]) == 2
    assert told in capsys.readouterr().err
    assert not list(place(sweep).rglob("*wandb*"))


@pytest.mark.parametrize(("folder", "why"), [("nothing", "not a folder"), (".", "holds no run")])
def test_folder_without_runs_is_a_mistake_in_one_line(
    folder: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sync", folder]) == 2
    assert why in capsys.readouterr().err


def test_results_of_a_sweep_are_a_run_of_type_report_and_the_same_one_again(
    sweep: list[RunFolder], server: WandbServer
) -> None:
    for _ in range(2):
        assert main(["sync", str(place(sweep))]) == 0
    [(name, results)] = [(name, run) for name, run in server.runs.items() if run.job_type == "report"]
    assert name == json.loads((place(sweep) / "wandb.json").read_text())["id"]
    assert (results.name, results.rows) == ("results of quickstart", [])
    assert results.summary["title"] == "quickstart: 4 runs, 1 failed, 1 finished, 1 interrupted, 1 new"
    table = json.loads(server.files[results.summary["results"]["path"]])
    row = dict(zip(table["columns"], table["data"][0], strict=True))
    assert (row["depth"], row["test error (%)"], row["n"]) == ("20", "1.50", "1")


def test_a_sweep_that_ends_sends_its_results_and_an_alert_once(tmp_path: Path, server: WandbServer) -> None:
    configs = [configured(tmp_path / "runs", seed=seed, **{"logger.name": "wandb"}) for seed in range(2)]
    for config in configs:
        finished(config, 1.0)
    for _ in range(2):
        assert list(unsent.ended(configs)) == []
    [alert] = server.alerts
    assert (alert["title"], alert["text"]) == ("quickstart ended", "quickstart: 2 runs, 2 finished")
    [results] = server.runs.values()
    assert results.job_type == "report"


def test_a_run_that_wandb_lost_is_a_line_of_the_board(tmp_path: Path) -> None:
    configs = [configured(tmp_path / "runs", seed=seed, **{"logger.name": "wandb"}) for seed in range(2)]
    jobs = [Job.of(config) for config in configs]
    shown = io.StringIO()
    with Board(jobs, Console(file=shown, width=200)) as board:
        unsent.note(jobs[0].folder.path, os.getpid())
        board.changed(jobs[0])
        assert "not in W&B" not in shown.getvalue()
        unsent.note(jobs[0].folder.path)
        for job in jobs:
            board.changed(job)
    assert shown.getvalue().count("1 of 2 runs is not in W&B: resnet-lab sync") == 1
    live = Console(file=io.StringIO(), width=200, height=20, force_terminal=True)
    live.print(Board(jobs, live)._picture())
    assert "not in W&B: resnet-lab sync" in live.file.getvalue()  # type: ignore[attr-defined]


def test_results_and_a_view_have_the_papers_figure_and_the_verdict(
    tmp_path: Path, server: WandbServer, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in range(2):
        finished(configured(tmp_path / "runs", 20, seed=seed, answers="he2015/table6"), 8.5 + seed / 10)
    assert main(["sync", str(tmp_path / "runs")]) == 0
    [results] = [run for run in server.runs.values() if run.job_type == "report"]
    table = json.loads(server.files[results.summary["beside_the_paper"]["path"]])
    assert {"paper", "ours", "n", "verdict"} <= set(table["columns"])
    capsys.readouterr()
    assert main(["sync", str(tmp_path / "runs"), "--workspace", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert '"results"' in shown
    assert '"beside_the_paper"' in shown


def test_one_run_alone_has_no_results_to_compare(sweep: list[RunFolder], server: WandbServer) -> None:
    assert main(["sync", str(sweep[0].path)]) == 0
    assert list(server.runs) == [told.run_id(sweep[0])]


def test_what_a_net_got_wrong_is_shown_without_a_row_of_its_own(
    sweep: list[RunFolder], server: WandbServer
) -> None:
    given = (
        Answer("a.png", "cat", "dog", 0.9),
        Answer("b.png", "dog", "dog", 0.8),
        Answer("c.png", "cat", "dog", 0.7),
    )
    answers = Answers(given, ("cat", "dog"))
    answers.write(sweep[0].path)
    surest_mistakes.write(sweep[0].path, np.zeros((2, 8, 8, 3), np.uint8), answers.mistakes())
    for _ in range(2):
        assert main(["sync", str(sweep[0].path)]) == 0
    run = server.runs[told.run_id(sweep[0])]
    assert told.plain(run.history) == told.rows(sweep[0])
    tables = {
        name: json.loads(server.files[run.summary[name]["path"]])["data"]
        for name in ("mistakes", "per_class", "confusion_table")
    }
    assert [row[1:] for row in tables["mistakes"]] == [
        ["a.png", "cat", "dog", 0.9],
        ["c.png", "cat", "dog", 0.7],
    ]
    assert [row[:4] for row in tables["per_class"]] == [["cat", 2, 2, 100.0], ["dog", 1, 0, 0.0]]
    assert [row[2] for row in tables["confusion_table"]] == [0, 2, 0, 1]
    assert not [each for each in server.artifacts if each["artifactTypeName"] == "model"]


def test_weights_are_an_artifact_where_they_are_asked_for(tmp_path: Path, server: WandbServer) -> None:
    folder = finished(configured(tmp_path / "runs", **{"logger.artifacts": True}), 1.0)
    folder.weights_file.write_bytes(b"weights")
    assert main(["sync", str(folder.path)]) == 0
    [artifact] = [each for each in server.artifacts if each["artifactTypeName"] == "model"]
    assert artifact["artifactCollectionName"] == f"resnet-20-s0-{told.run_id(folder)[-5:]}"


def test_a_view_is_printed_without_a_server_and_nothing_is_written(
    sweep: list[RunFolder], capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(place(sweep).rglob("*"))
    assert main(["sync", str(place(sweep)), "--workspace", "--dry-run"]) == 0
    spec = json.loads(capsys.readouterr().out)["section"]
    [runs] = spec["runSets"]
    assert [(each["key"]["name"], each["value"]) for each in runs["filters"]["filters"]] == [
        ("group", ["quickstart"])
    ]
    assert [key["name"] for key in runs["grouping"]] == ["label.value"]
    assert "config:model.value.depth" in runs["runFeed"]["columnPinned"]
    panels = [panel for section in spec["panelBankConfig"]["sections"] for panel in section["panels"]]
    assert {panel["viewType"] for panel in panels} == {
        "Run History Line Plot",
        "Scatter Plot",
        "Weave",
        "Run Comparer",
    }
    curve = panels[0]["config"]
    assert (curve["xAxis"], curve["metrics"], curve["groupAgg"], curve["groupArea"]) == (
        "iteration",
        ["test/error"],
        "mean",
        "stddev",
    )
    assert [panel["config"].get("xAxis") for panel in panels[3:5]] == [
        "config:model.value.depth",
        "summary:train_seconds",
    ]
    assert sorted(place(sweep).rglob("*")) == before


def test_a_view_is_saved_once_and_again_in_its_place(
    sweep: list[RunFolder], server: WandbServer, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert main(["sync", str(sweep[0].path), "--workspace", "--entity", "somebody"]) == 0
        assert "the view of the sweep: http" in capsys.readouterr().out
    [view] = server.views.values()
    assert (view["entityName"], view["projectName"]) == ("somebody", "resnet-lab")


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--dry-run"], 2, "--dry-run prints the view of --workspace"),
        (["--workspace"], 1, "a view needs W&B's server, which is offline (no key"),
    ],
)
def test_a_view_that_cannot_be_had_is_one_line(
    options: list[str], code: int, said: str, sweep: list[RunFolder], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sync", str(sweep[0].path), *options]) == code
    assert said in capsys.readouterr().err
