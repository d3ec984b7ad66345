"""`resnet-lab new` writes a project that runs as it is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from resnet_lab.cli import main
from resnet_lab.config.identity import identity
from resnet_lab.sweeps.expand import configurations


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "first-project"
    assert main(["new", str(folder)]) == 0
    return folder


def test_the_new_project_has_an_experiment_that_sweeps_parts_of_its_own(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {".gitignore", "README.md", "configs", "tests"} <= {path.name for path in project.iterdir()}
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(str(project))
    runs = configurations(["experiment=first"])
    assert len({identity(run) for run in runs}) == len(runs) > 1
    assert set(runs[0].sources) == {"my_recipe.focal", "my_recipe.linear_decay"}


@pytest.mark.slow
def test_the_new_project_passes_its_own_test(project: Path) -> None:
    environment = {**os.environ, "PYTEST_ADDOPTS": "-p no:cacheprovider"}
    command = [sys.executable, "-m", "pytest", "-q"]
    told = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout


def test_a_folder_with_something_in_it_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").write_text("")
    assert main(["new", str(tmp_path)]) == 2
    assert (
        capsys.readouterr().err
        == f"resnet-lab: {tmp_path} is there already, and not empty: name a new folder\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
