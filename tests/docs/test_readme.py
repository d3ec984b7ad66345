"""README is short, its figures are those of results/, and what it links is there."""

import re
import subprocess
from pathlib import Path

import pytest

import documented
from documented import ROOT
from resnet_lab import cli
from resnet_lab.report import collect, summarise
from resnet_lab.report.spread import difference

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_readme_is_read_in_one_go() -> None:
    assert len(README.splitlines()) <= 90


def test_its_table_is_that_of_the_quickstart() -> None:
    said = [line for line in README.splitlines() if re.match(r"\| +\d+ \| (plain|residual)", line)]
    measured = (ROOT / "results/quickstart/table.md").read_text(encoding="utf-8")
    assert len(said) == 4
    for line in said:
        assert f"\n{line.rstrip('|')}" in measured, line


def test_the_caption_of_its_picture_states_the_differences_of_the_results() -> None:
    for shortcut, kind in (("none", "plain"), ("A", "residual (basic, A)")):
        groups = summarise(collect(ROOT / "results/miniature"))
        tests = {group.depth: group.test for group in groups if group.choices["model.shortcut"] == shortcut}
        found = difference(tests[56], tests[20])
        words = f"{found.mean:.2f} {{}}({{}}{found.low:.2f} to {found.high:.2f})".replace("-", "−")
        prefix = ("percentage points ", "95 % interval ") if kind == "plain" else ("", "")
        assert words.format(*prefix) in README.replace("\n", " ")


def test_its_own_ablation_is_12_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "configs" / "experiment" / "norm.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(documented.files("README.md")["configs/experiment/norm.yaml"], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["plan", "-m", "experiment=norm", "--gpu", "a100"]) == 0
    assert "12 runs, 0 finished" in capsys.readouterr().out


def test_its_measurements_are_those_of_the_benchmarks() -> None:
    said = re.findall(r"\| ([\d.,]+) \| ([\d.,]+)[^|]*\| `(benchmarks/\w+\.py)`", README)
    page = (ROOT / "docs/performance.md").read_text(encoding="utf-8")
    assert len(said) == 2
    for ours, peer, script in said:
        rows = page.split(f"\n`python {script}`:")[1].split("\n`python")[0]
        assert re.search(rf"\| {ours} [^|]*\| {peer}: ", rows), (ours, peer, script)


def test_what_readme_links_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)", README)
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]


def test_setup_installs_for_users_dev_for_developers_and_torch_from_the_index_that_is_given(
    tmp_path: Path,
) -> None:
    makefile = tmp_path / "Makefile"
    makefile.write_text((ROOT / "Makefile").read_text(encoding="utf-8"), encoding="utf-8")
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()

    def steps(*arguments: str) -> list[str]:
        done = subprocess.run(
            ["make", "-n", *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return [line for line in done.stdout.splitlines() if " install " in line]

    assert not [line for line in steps("quickstart") if "[dev]" in line or "--index-url" in line]
    assert [line for line in steps("test") if line.endswith('--editable ".[dev]"')]
    given = [line for line in steps("setup", "TORCH_INDEX=cpu-builds") if "--index-url cpu-builds" in line]
    assert [line.split()[-2:] for line in given] == [["torch", "torchvision"]]
    (tmp_path / ".venv").mkdir()
    for stamp in (".installed", ".developed"):
        (tmp_path / ".venv" / stamp).touch()
    assert steps("test") == steps("quickstart") == []
