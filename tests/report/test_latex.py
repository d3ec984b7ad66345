"""The tables in LaTeX are read by LaTeX, and fit a line of an article."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from resnet_lab.report import Table

RESULTS = Path(__file__).parents[2] / "results"
ARTICLE = r"""\documentclass{article}
\usepackage{booktabs,graphicx,siunitx}
\begin{document}
%s
\end{document}
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs texlive with siunitx"),
]


def compiled(tables: Sequence[str], folder: Path) -> str:
    """Return what pdflatex says of an article of these tables; fails where it cannot read them."""
    (folder / "article.tex").write_text(ARTICLE % "\n\\clearpage\n".join(tables), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "article.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=300)
    assert done.returncode == 0, done.stdout[-2000:]
    return done.stdout


def test_every_committed_table_fits_a_line_of_an_article(tmp_path: Path) -> None:
    tables = [path.read_text(encoding="utf-8") for path in sorted(RESULTS.rglob("table.tex"))]
    assert len(tables) > 8
    assert not re.findall(r"Overfull.*", compiled(tables, tmp_path))


def test_rows_that_begin_with_a_list_or_a_star_are_no_arguments(tmp_path: Path) -> None:
    rows = [{"drops": cell, "n": "1"} for cell in ("[2800.0, 4200.0]", "*", r"a_b|^~\\<>{}%&#$")]
    compiled([Table.of(rows, words={"drops"}).latex("[1] of 100 %")], tmp_path)
