"""The committed records rebuild the tables and figures beside them, identically."""

from pathlib import Path

import pytest

from resnet_lab.report import report

RESULTS = Path(__file__).parents[2] / "results"
SWEEPS = sorted(path.parent for path in RESULTS.rglob("table.md"))


@pytest.mark.parametrize("sweep", SWEEPS, ids=lambda path: str(path.relative_to(RESULTS)))
def test_a_committed_sweep_is_rebuilt_identically(sweep: Path, tmp_path: Path) -> None:
    report(sweep, tmp_path)
    committed = {path.name for path in sweep.iterdir() if path.is_file()}
    assert {path.name for path in tmp_path.iterdir()} == committed
    for made in tmp_path.iterdir():
        assert made.read_bytes() == (sweep / made.name).read_bytes(), made.name
