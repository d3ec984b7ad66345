"""The figures of docs/performance.md are those of results/benchmarks."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_tables_of_the_page_are_those_of_the_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    from measuring import page

    text = page.PAGE.read_text(encoding="utf-8")
    assert page.with_tables(text, page.tables()) == text, "run python -m measuring.page in benchmarks/"
    assert "| what | ours |" in text


def test_a_claim_that_is_missed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    from measuring import Claim

    slow = Claim.of_turns("a step", "ms", [4.0, 3.0, 8.0], [2.0, 2.0, 2.0], against="bare", most=1.5)
    assert (slow.ratio, slow.holds) == (2.0, False)
    assert "MISSED" in str(slow)
    assert Claim("help", "s", 0.05, most=0.1).holds
