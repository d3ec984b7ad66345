"""Every notebook runs from a fresh checkout, and is committed without outputs."""

import os
import shutil
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


@each
def test_what_a_notebook_says_of_itself_is_true(
    path: Path, checkout: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    executed(path=checkout / "notebooks" / path.name)
    printed = capfd.readouterr().out
    assert "True" in printed
    assert "False" not in printed


@in_a_process_of_its_own
def executed(path: Path) -> None:
    """The cells in IPython's shell, without the start of a kernel."""
    os.chdir(path.parent)
    os.environ["MPLBACKEND"] = "agg"
    from IPython.core.interactiveshell import InteractiveShell

    class Shell(InteractiveShell):
        def enable_gui(self, gui: str | None = None) -> None:
            """None is there; IPython's own raises."""

    shell = Shell()
    for cell in code_of(path):
        shell.run_cell(cell.source).raise_error()


@pytest.mark.slow
@each
def test_a_notebook_runs_in_a_kernel(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=60, kernel_name="python3", resources=resources).execute()
