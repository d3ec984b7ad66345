"""A folder of somebody's own, in which commands are given, and what its runs leave."""

import csv
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from forked import forked_server
from resnet_lab.cli import main
from resnet_lab.runs.folder import RunFolder
from resnet_lab.sweeps.places import local

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = [  # 3 iterations an epoch
    *("data.train_images=96", "data.validation=40", "data.test_images=40", "model.depth=8", "model.width=4"),
    *("recipe.batch_size=32", "recipe.epochs=3", "trainer.accelerator=cpu", "trainer.progress=false"),
    *("trainer.threads=1", "callbacks.checkpoint.every_iterations=2"),
]


@contextmanager
def project(folder: Path, patch: pytest.MonkeyPatch, modules: Mapping[str, str]) -> Iterator[Path]:
    """Work in a folder with these modules, name -> code; the runs of a sweep are forked from what is imported."""
    for name, code in modules.items():
        (folder / f"{name}.py").write_text(code)
    patch.chdir(folder)
    patch.setattr(sys, "path", [str(folder), *sys.path])
    patch.setattr(local, "server_process", forked_server)
    try:
        yield folder
    finally:
        for name in modules:
            sys.modules.pop(name, None)


@contextmanager
def examples(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The same with what examples/ holds."""
    shutil.copytree(EXAMPLES, folder, dirs_exist_ok=True)
    with project(folder, patch, {file.stem: file.read_text() for file in EXAMPLES.glob("*.py")}):
        yield folder


def refused(asked: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a mistake costs, before anything is written."""
    assert main(["train", *asked]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1, line
    assert not Path("runs").exists()
    return line


def rows(folder: RunFolder) -> list[dict[str, Any]]:
    """The history without its times."""
    with folder.history_file.open(newline="") as file:
        return [
            {key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)
        ]
