"""What a dotted path names, and which files it comes from."""

import sys
from pathlib import Path

import pytest

from resnet_lab.errors import UserError
from resnet_lab.targets import digest, locate, own_sources


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a package that uses a module beside it."""
    (tmp_path / "own_nets").mkdir()
    (tmp_path / "own_nets/__init__.py").write_text("")
    (tmp_path / "own_nets/net.py").write_text(
        "import json\nfrom .parts import width\nclass Net:\n    def go(self):\n        import own_late\n"
    )
    (tmp_path / "own_nets/parts.py").write_text("width = 3\n")
    (tmp_path / "own_late.py").write_text("late = 1\n")
    (tmp_path / "own_broken.py").write_text("1 / 0\n")
    (tmp_path / "own_needy.py").write_text("import not_there_at_all\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("own_")]:
        del sys.modules[name]


def test_a_path_names_what_is_installed_and_what_lies_in_the_working_folder(folder: Path) -> None:
    assert locate("collections.OrderedDict.fromkeys", "k").__name__ == "fromkeys"
    assert locate("own_nets.net.Net", "k").__module__ == "own_nets.net"


MISTAKES = {
    "Net": "a dotted path is needed",
    "own_nets..Net": "a dotted path is needed",
    "no_such_package.Net": "no module 'no_such_package'",
    "own_nets.nett.Net": "did you mean own_nets.net",
    "own_nets.net.Nett": "did you mean own_nets.net.Net?",
    "own_broken.Net": "importing own_broken fails: ZeroDivisionError: division by zero",
    "own_needy.Net": "own_needy needs 'not_there_at_all'",
}


@pytest.mark.parametrize("path", MISTAKES)
def test_a_path_that_names_nothing_is_one_line_that_says_what_would(folder: Path, path: str) -> None:
    if path == "own_nets.nett.Net":
        locate("own_nets.net.Net", "k")  # what is imported is known
    with pytest.raises(UserError) as error:
        locate(path, "model._target_")
    assert MISTAKES[path] in str(error.value)
    assert str(error.value).startswith(f"model._target_={path}: ")
    assert "\n" not in str(error.value)


def test_the_sources_are_ones_own_files_and_no_installed_ones(folder: Path) -> None:
    found = own_sources("own_nets.net.Net")
    assert set(found) == {"own_nets", "own_nets.net", "own_nets.parts", "own_late"}
    assert own_sources("collections.OrderedDict") == {}
    assert own_sources("pytest.raises") == {}
    assert own_sources("resnet_lab.targets.locate") == {}


def test_an_edit_anywhere_among_the_sources_changes_the_digest_and_moving_them_does_not(folder: Path) -> None:
    before = digest(own_sources("own_nets.net.Net"))
    moved = {name: folder / f"{name}.moved" for name in own_sources("own_nets.net.Net")}
    for name, file in own_sources("own_nets.net.Net").items():
        moved[name].write_bytes(file.read_bytes())
    assert digest(moved) == before
    (folder / "own_late.py").write_text("late = 2\n")
    assert digest(own_sources("own_nets.net.Net")) != before
