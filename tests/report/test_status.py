"""`resnet-lab status FOLDER`: how far a sweep is that runs elsewhere."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from resnet_lab.cli import main
from run_folders import configured, failed, finished, interrupted, started


def rows(printed: str) -> dict[str, list[str]]:
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines() if "|" in line]
    return {row[0]: row[1:] for row in cells[2:]}


def test_it_tells_how_far_each_run_is_and_how_long_the_rest_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finished(configured(tmp_path, 20, seed=0), 3.0)  # 60 s
    started(configured(tmp_path, 20, seed=1))
    running = interrupted(configured(tmp_path, 20, seed=2), [50.0, 20.0, 10.0])
    with running.lock():
        assert main(["status", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    told = rows(printed)
    assert told["resnet-20 s2"][:5] == ["running", "2 of 12", "10.00", "4.5", "939"]
    assert f"resnet-20 s2: process {os.getpid()} on " in printed
    assert told["resnet-20 s2"][-1] == running.path.name
    assert "3 runs: 1 running, 1 new, 1 finished; about " in printed
    assert printed.rstrip().endswith("left, 1 at a time")


def test_a_run_is_called_by_what_varies_among_the_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for depth, rate, size in (
        (20, 0.05, 64),
        (20, 0.1, 128),
        (56, 0.1, 128),
    ):  # the size goes along with the rate
        finished(configured(tmp_path, depth, **{"recipe.lr": rate, "recipe.batch_size": size}), 3.0)
    main(["status", str(tmp_path)])
    assert set(rows(capsys.readouterr().out)) == {
        "resnet-20 lr=0.05 s0",
        "resnet-20 lr=0.1 s0",
        "resnet-56 lr=0.1 s0",
    }


def test_a_failed_run_says_why_and_is_the_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failed(configured(tmp_path), "out_of_memory")
    assert main(["status", str(tmp_path)]) == 1
    assert "out_of_memory: the loss is nan at iteration 17" in capsys.readouterr().out


def test_a_running_run_that_will_fail_is_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = interrupted(configured(tmp_path))
    assert main(["status", str(tmp_path)]) == 0
    assert "left, one at a time, once they are started again" in capsys.readouterr().out
    before = time.time() - 7200
    os.utime(folder.history_file, (before, before))
    with folder.lock():
        main(["status", str(tmp_path)])
    assert "no epoch for 2.0 h, which took 2 s before" in capsys.readouterr().out


def test_of_many_finished_runs_only_the_number_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resnet_lab.report.status.MOST", 2)
    for seed in range(5):
        finished(configured(tmp_path, seed=seed), 3.0)
    started(configured(tmp_path, seed=99))
    main(["status", str(tmp_path)])
    printed = capsys.readouterr().out
    assert len(rows(printed)) == 3
    assert "and 3 more that are finished" in printed


def test_it_takes_no_torch(tmp_path: Path) -> None:
    finished(configured(tmp_path), 3.0)
    code = (
        "import sys; from resnet_lab.cli import main; main(['status', sys.argv[1]]);"
        "sys.exit(' '.join({'torch', 'lightning', 'matplotlib', 'scipy'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_folds_of_a_cross_validation_have_names_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for fold in (0, 1):
        finished(configured(tmp_path, **{"data.folds": 2, "data.fold": fold}), 3.0 + fold)
    main(["status", str(tmp_path)])
    assert set(rows(capsys.readouterr().out)) == {"resnet-20 fold=0 s0", "resnet-20 fold=1 s0"}
    main(["report", str(tmp_path)])
    assert "3.50 ± 0.71" in capsys.readouterr().out
    runs = (tmp_path / "quickstart" / "runs.csv").read_text()
    assert "data.fold" in runs.splitlines()[0]
