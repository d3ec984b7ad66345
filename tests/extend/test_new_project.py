"""`resnet-lab new` writes a project that runs as it is."""

import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from resnet_lab.cli import main
from resnet_lab.config.identity import identity
from swept import configurations

ROOT = Path(__file__).parents[2]
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "first-project"
    assert main(["new", str(folder)]) == 0
    yield folder
    for code in folder.glob("*.py"):
        sys.modules.pop(code.stem, None)


def test_the_new_project_has_an_experiment_that_sweeps_parts_of_its_own(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {".gitignore", "README.md", "configs", "tests"} <= {path.name for path in project.iterdir()}
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(str(project))
    runs = configurations(["experiment=first"])
    assert len({identity(run) for run in runs}) == len(runs) > 1
    parts = {"my_data.make", "my_net.Net", "my_recipe.focal", "my_recipe.linear_decay"}
    assert set(runs[0].sources) == parts
    assert {run.model.label for run in runs} == {"mine", "resnet-8"}
    assert set(runs[0].metrics) == {"certainty"}


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


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_wheel_in_an_environment_of_its_own_does_what_the_checkout_does(tmp_path: Path) -> None:
    """Built by pip, and installed by it into an empty environment with all that it depends on."""
    pip, pinned = [sys.executable, "-m", "pip"], f"--constraint={ROOT / 'constraints.txt'}"
    built = ran([*pip, "wheel", "--quiet", "--no-deps", f"--wheel-dir={tmp_path}", str(ROOT)], tmp_path)
    if built.returncode:
        pytest.skip(f"no wheel can be built here: {built.stderr.strip().splitlines()[-1]}")
    home = tmp_path / "home"
    venv.create(home, symlinks=True)
    python, program = str(home / "bin" / "python"), str(home / "bin" / "resnet-lab")
    wheel = str(next(tmp_path.glob("*.whl")))
    for packages in (["torch", "torchvision"], [wheel, "pytest"]):  # PyTorch first, as `make setup` has it
        done = ran([*pip, "--python", python, "install", "--quiet", pinned, *packages], tmp_path)
        assert done.returncode == 0, done.stderr
    where = ran([python, "-c", "import resnet_lab; print(resnet_lab.__file__)"], tmp_path)
    assert where.stdout.startswith(f"{home}/lib/")
    assert ran([program, "--version"], tmp_path).stdout == f"resnet-lab {version('resnet-lab')}\n"
    quick = ran([program, "train", "-m", "experiment=quickstart", "debug=true", "seed=0"], tmp_path)
    assert "4 runs: 4 finished" in quick.stdout, quick.stderr

    assert ran([program, "new", "first-project"], tmp_path).returncode == 0
    project = tmp_path / "first-project"
    trained = ran([program, "train", "-m", "experiment=first", "recipe.epochs=2"], project)
    assert "8 runs: 8 finished" in trained.stdout, trained.stderr
    tested = ran([python, "-m", "pytest", "-q", "-p", "no:cacheprovider"], project)
    assert tested.returncode == 0, tested.stdout

    assert ran([program, "pack", "runs/first", "--out", "first.zip"], project).returncode == 0
    assert ran([program, "unpack", "first.zip", "--out", "there/first"], project).returncode == 0
    tables = []
    for root in ("runs", "there"):
        assert ran([program, "report", f"{root}/first"], project).returncode == 0
        tables.append((project / root / "first" / "table.csv").read_text())
    assert tables[0] == tables[1]


def ran(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, env=CLEAN, capture_output=True, text=True, check=False)
