"""`resnet-lab sync FOLDER`: W&B is brought level with what lies there, as often as one likes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import told
from resnet_lab.cli import main
from resnet_lab.report import sync as module
from resnet_lab.runs.folder import RunFolder
from run_folders import configured, failed, finished, interrupted, started, write_history
from wandb_server import WandbServer


@pytest.fixture(autouse=True)
def asked_anew() -> None:
    module._reason.cache_clear()


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
    assert "level with 3 runs: 0 rows were sent" in capsys.readouterr().out
    assert {name: (run.rows, run.config, run.name) for name, run in server.runs.items()} == first
    assert len({run.config["same_but_seed"] for run in server.runs.values()}) == 1


def test_a_run_that_went_on_is_sent_what_is_missing(sweep: list[RunFolder], server: WandbServer) -> None:
    assert main(["sync", str(place(sweep))]) == 0
    write_history(sweep[1], [50.0, 20.0, 10.0])
    assert main(["sync", str(sweep[1].path)]) == 0
    assert kept(server, sweep) == [told.rows(run) for run in sweep]


def test_row_that_no_checkpoint_knows_is_not_sent_before_it_is_certain(
    sweep: list[RunFolder], server: WandbServer
) -> None:
    sweep[1].checkpoints.mkdir()
    (sweep[1].checkpoints / "00000022.ckpt").touch()
    assert main(["sync", str(place(sweep))]) == 0
    assert kept(server, sweep)[1] == told.rows(sweep[1])[:1]


def test_without_a_key_one_folder_has_the_whole_sweep_and_one_wandb_sync_sends_it(
    sweep: list[RunFolder], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        assert main(["sync", str(place(sweep))]) == 0
        assert "W&B is offline (no key" in capsys.readouterr().out
    files = told.offline_runs(place(sweep))
    rows = {each["run"][0]["run_id"]: told.plain([row["item"] for row in each["history"]]) for each in files}
    assert len(files) == 3
    assert rows == {told.run_id(run): told.rows(run) for run in sweep}
    server = WandbServer()
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef0123456789abcdef01234567")
    monkeypatch.setenv("WANDB_BASE_URL", server.address)
    wandb = str(Path(sys.executable).with_name("wandb"))
    subprocess.run([wandb, "sync", "--yes"], cwd=place(sweep), check=True, capture_output=True)
    assert kept(server, sweep) == [told.rows(run) for run in sweep]
    module._reason.cache_clear()
    assert main(["sync", str(place(sweep))]) == 0
    assert kept(server, sweep) == [told.rows(run) for run in sweep]
    server.lose()


def test_broken_files_are_named_and_passed_over(
    sweep: list[RunFolder], server: WandbServer, capsys: pytest.CaptureFixture[str]
) -> None:
    contents = (b"", b":W&B\x00\x00\x00", b"\x00" * 4000)
    for run, content in zip(sweep, contents, strict=True):
        file = run.path / "wandb" / "offline-run-20200101_000000-of_old" / "run-of_old.wandb"
        file.parent.mkdir(parents=True)
        file.write_bytes(content)
    assert main(["sync", str(place(sweep))]) == 0
    assert capsys.readouterr().err.count("run-of_old.wandb") == 3
    assert kept(server, sweep) == [told.rows(run) for run in sweep]


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


@pytest.mark.parametrize("status", [400, 401, 404])
def test_server_that_refuses_is_one_line_a_run_and_a_failure(
    status: int, sweep: list[RunFolder], server: WandbServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.refuse = status
    assert main(["sync", str(sweep[0].path)]) == 1
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("resnet-lab:")]
    assert not {"{", "}", '"'} & set(line)
    server.refuse = None
    assert main(["sync", str(sweep[0].path)]) == 0
    assert kept(server, sweep[:1]) == [told.rows(sweep[0])]


def test_runs_of_other_devices_have_runs_of_their_own(tmp_path: Path, server: WandbServer) -> None:
    changes: list[dict[str, Any]] = [{"trainer.devices": devices} for devices in (1, 2)]
    for devices, change in zip((1, 2), changes, strict=True):
        finished(configured(tmp_path / "runs", run_dir=str(tmp_path / "runs" / str(devices)), **change), 1.0)
    assert main(["sync", str(tmp_path / "runs")]) == 0
    assert len({run.name for run in server.runs.values()}) == len(server.runs) == 2


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


@pytest.mark.parametrize(("folder", "why"), [("nothing", "not a folder"), (".", "holds no run")])
def test_folder_without_runs_is_a_mistake_in_one_line(
    folder: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sync", folder]) == 2
    assert why in capsys.readouterr().err
