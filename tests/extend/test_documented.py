"""What docs/extend.md shows trains as it stands there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from documented import Command, commands, files
from own_project import project
from resnet_lab.cli import main

PAGE = "docs/extend.md"
BRIEF = ["debug=true", "trainer.accelerator=cpu", "trainer.progress=false", "trainer.threads=1"]
TRAINED = [
    each
    for each in commands(PAGE)
    if each.words[1] == "train" and not {"-m", "data=cifar10"} & set(each.words)  # no images of it are here
]


@pytest.fixture(autouse=True)
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    told = files(PAGE)
    for name, text in told.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    modules = {Path(name).stem: text for name, text in told.items() if name.endswith(".py")}
    with project(tmp_path, monkeypatch, modules) as folder:
        yield folder


@pytest.mark.parametrize("command", TRAINED, ids=str)
def test_a_run_of_the_page_is_trained(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.words[1:], *BRIEF]) == 0, capsys.readouterr().err
