"""Every notebook runs from a fresh checkout, and is committed without outputs."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from forked import in_a_process_of_its_own

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A fresh one: what its user has trained is not there."""
    for each in ROOT.iterdir():
        if each.name not in ("notebooks", "runs"):
            (tmp_path / each.name).symlink_to(each)
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    return tmp_path


def code_of(path: Path) -> list[nbformat.NotebookNode]:
    notebook = nbformat.read(path, as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@each
def test_a_notebook_is_committed_without_outputs(path: Path) -> None:
    assert code_of(path)
    assert all(not cell.outputs and cell.execution_count is None for cell in code_of(path))


# What the text of each notebook says of its numbers, in its own names.
TRUE = {
    "01_residual_unit": (
        "torch.allclose(added[0], x[0, 0, ::2, ::2], atol=1e-5)",
        "added[16:].abs().max() < 1e-5",
        "ratio['cifar_plain56'] > 5 * ratio['cifar_resnet56']",
        "signal('full_preactivation')[-1] > 2 * signal('full_preactivation')[0]",
        "mean['ResNet-110'] < mean['ResNet-56'] < mean['ResNet-20'] < mean['plain-20']",
    ),
    "02_compare_a_sweep": (
        "lost['none'] > 10 * lost['A']",
        "groups[1].train.mean > 10",
        "len(each) == 12",
    ),
    "03_trained_net": (
        "run.state == 'finished'",
        "len(wrong) < len(files) / 10",
        "difference < 1e-5",
        "(program(batch) - again(batch)).abs().max() < 1e-4",
    ),
    "04_your_ablation": (
        "len(runs) == 12 and all(run.state == 'finished' for run in runs)",
        "[group.n for group in groups] == [3] * 4",
        "(folder / 'table.tex').exists() and (folder / 'depth.pdf').exists()",
    ),
}


# The one that trains 12 runs is slow.
LONG = [
    pytest.param(path, marks=pytest.mark.slow) if path.stem.startswith("04") else path for path in NOTEBOOKS
]


@pytest.mark.parametrize("path", LONG, ids=lambda path: path.stem)
def test_a_notebook_runs_and_what_its_text_says_is_true(path: Path, checkout: Path) -> None:
    executed(path=checkout / "notebooks" / path.name, facts=TRUE[path.stem])


@in_a_process_of_its_own
def executed(path: Path, facts: Sequence[str]) -> None:
    """Run the cells in IPython's shell, without the start of a kernel; raise AssertionError for what is not true."""
    os.chdir(path.parent)
    os.environ["MPLBACKEND"] = "agg"
    from IPython.core.interactiveshell import InteractiveShell

    class Shell(InteractiveShell):
        def enable_gui(self, gui: str | None = None) -> None:
            """None is there; IPython's own raises."""

    shell = Shell()
    for cell in code_of(path):
        shell.run_cell(cell.source).raise_error()
    for fact in facts:
        assert eval(fact, shell.user_ns), fact


@pytest.mark.slow
@each
def test_a_notebook_runs_in_a_kernel(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=60, kernel_name="python3", resources=resources).execute()
