"""`resnet-lab report`: what it prints and what it writes."""

import csv
from pathlib import Path

import pytest

from resnet_lab.errors import UserError
from resnet_lab.report import report
from run_folders import configured, failed, finished, interrupted, quickstart, started


def test_finished_quickstart_gives_table_sentence_and_figure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = quickstart(tmp_path)
    assert report(folder) == 0
    printed = capsys.readouterr().out
    assert "quickstart: 8 runs, 8 finished" in printed
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines() if "|" in line]
    cost = ["parameters", "multiply-adds", "training time (s)"]
    assert rows[0] == ["depth", "net", "test error (%)", "95 % interval", "n", *cost]
    assert rows[2] == ["20", "plain", "1.40 ± 0.28", "0.00 to 3.94", "2", "269,722", "40.55 M", "10.5 ± 0.7"]
    assert rows[3][2:5] == ["73.00 ± 12.73", "0.00 to 100.00", "2"]
    assert "+71.60 (95 % interval -40.21 to +183.41)" in printed
    assert str(folder / "curves.png") in printed
    files = {path.name for path in folder.iterdir() if path.is_file()}
    assert files == {"table.md", "table.csv", "table.tex", "runs.csv", "curves.png", "depth.png"}
    text = (folder / "table.md").read_text()
    assert all(part in text for part in (" 73.00 ± 12.73 |", "cannot be told with n = 2", "(curves.png)"))
    with (folder / "table.csv").open(newline="") as file:
        deep = list(csv.DictReader(file))[1]
    assert (deep["depth"], deep["kind"], deep["parameters"], deep["n"]) == ("56", "plain", "853018", "2")
    assert (deep["seeds"], deep["test_error_mean"], deep["test_error_median"]) == ("0 1", "73", "73")
    assert (deep["test_error_std"], deep["test_error_best"]) == ("12.7279", "64")
    assert (deep["train_error_mean"], deep["train_seconds_mean"]) == ("36.5", "28.5")
    assert deep["test_error_at_best_val_epoch"] == ""


def test_half_finished_sweep_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finished(configured(tmp_path, 20, "none", 0), 1.4)
    interrupted(configured(tmp_path, 20, "none", 1))
    started(configured(tmp_path, 56, "none", 0))
    failed(configured(tmp_path, 56, "A", 0), "out_of_memory")
    broken = finished(configured(tmp_path, 56, "A", 1), 1.4)
    broken.record_file.write_text("{")
    with started(configured(tmp_path, 20, "A", 0)).lock():
        assert report(tmp_path / "quickstart") == 0
    printed, warned = capsys.readouterr()
    assert "5 runs, 1 failed, 1 finished, 1 interrupted, 1 new, 1 running" in printed
    assert "1 interrupted" in printed
    assert "1 failed: out_of_memory" in printed
    assert warned.count("\n") == 1
    assert broken.path.name in warned


def test_experiment_that_answers_a_table_stands_beside_the_paper(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for depth, shortcut in ((20, "A"), (56, "A")):
        for seed in range(2):
            name = "he2015/table6"
            finished(configured(tmp_path, depth, shortcut, seed, name=name, answers=name), 8.0 + seed)
    folder = tmp_path / "he2015" / "table6"
    report(folder)
    printed = capsys.readouterr().out
    for words in (
        "Beside he2015/table6",
        "6.43 (best of 5; mean 6.61 ± 0.16)",
        "not comparable: ",
        "data.name digits, not cifar10",
        "not run",
        "t(n - 1) s sqrt(1/n + 1/m)",
    ):
        assert words in printed
    with (folder / "paper.csv").open(newline="") as file:
        rows = {row["net"]: row for row in csv.DictReader(file)}
    assert (rows["ResNet-20"]["paper"], rows["ResNet-20"]["mean"]) == ("8.75", "8.5")
    assert rows["ResNet-20"]["difference"] == "-0.25"
    assert rows["ResNet-110"]["paper_std"] == "0.16"
    text = (folder / "table.md").read_text()
    assert "akamaster/pytorch_resnet_cifar10" in text
    assert "## Beside he2015/table6" in text


def test_each_sweep_below_a_folder_has_its_own_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = finished(configured(tmp_path, name="one"), 2.0)
    finished(configured(tmp_path, name="claims/two"), 2.0)
    report(tmp_path, tmp_path / "out")
    assert (tmp_path / "out" / "one" / "table.md").exists()
    assert (tmp_path / "out" / "claims" / "two" / "curves.png").exists()
    assert not (tmp_path / "one" / "table.md").exists()
    report(tmp_path / "one", tmp_path / "just")
    assert (tmp_path / "just" / "table.csv").exists()
    report(run.path)
    assert (run.path / "table.md").exists()
    assert not (tmp_path / "one" / "table.md").exists()


def test_a_folder_without_runs_or_a_place_that_cannot_be_written_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no run"):
        report(tmp_path)
    with pytest.raises(UserError, match="is not a folder"):
        report(tmp_path / "absent")
    finished(configured(tmp_path), 2.0)
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(UserError, match=r"cannot write .*taken"):
        report(tmp_path, tmp_path / "taken")


def test_terminal_gets_a_drawn_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    finished(configured(tmp_path), 2.0)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    report(tmp_path)
    printed = capsys.readouterr().out
    assert "───" in printed
    assert "| ---" not in printed
