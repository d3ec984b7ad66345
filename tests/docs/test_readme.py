"""README is short, its figures are those of results/, and what it links is there."""

import re

import pytest

from documented import ROOT
from resnet_lab import cli

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_readme_is_read_in_one_go() -> None:
    assert len(README.splitlines()) <= 90


@pytest.mark.parametrize(
    ("row", "rows"), [(r"\| +\d+ \| (plain|residual)", 4), (r"\| +\d+ \| +\d+\.\d+ ± ", 4)]
)
def test_its_tables_are_those_of_the_results(row: str, rows: int, capsys: pytest.CaptureFixture[str]) -> None:
    said = [line for line in README.splitlines() if re.match(row, line)]
    cli.main(
        [
            "report",
            str(ROOT / "results/claims/depth"),
            *["--rows", "model.depth", "--columns", "model.shortcut"],
        ]
    )
    measured = capsys.readouterr().out + (ROOT / "results/quickstart/table.md").read_text(encoding="utf-8")
    assert len(said) == rows
    for line in said:
        assert f"\n{line.rstrip('|')}" in measured, line


def test_its_measurements_are_those_of_the_benchmarks() -> None:
    said = re.findall(r"\| ([\d.,]+) \| ([\d.,]+)[^|]*\| `(benchmarks/\w+\.py)`", README)
    page = (ROOT / "docs/performance.md").read_text(encoding="utf-8")
    assert len(said) == 5
    for ours, peer, script in said:
        rows = page.split(f"\n`python {script}`:")[1].split("\n`python")[0]
        assert re.search(rf"\| {ours} [^|]*\| {peer}: ", rows), (ours, peer, script)


def test_what_readme_links_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)", README)
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]
