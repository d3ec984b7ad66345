"""What a record tells of the code that made it."""

import re
import shutil
from pathlib import Path

import pytest

from resnet_lab.runs import record


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of this package, as it may be installed without git."""
    copy = shutil.copytree(record.PACKAGE, tmp_path / "src" / "resnet_lab")
    monkeypatch.setattr(record, "PACKAGE", copy)
    return copy


def code() -> str:
    record.code_digest.cache_clear()
    return str(record.environment()["code"])


def test_record_tells_the_code_where_there_is_no_commit(package: Path) -> None:
    assert re.fullmatch(r"[0-9a-f]{8}", code())
    assert record.environment()["git_commit"] is None


def test_digest_of_the_code_follows_every_edit_and_nothing_else(package: Path) -> None:
    before = code()
    (package / "notes.txt").write_text("no code")
    assert code() == before
    file = package / "models" / "units.py"
    text = file.read_text()
    file.write_text(text + "\n")
    assert code() != before
    file.write_text(text)
    assert code() == before
    file.rename(file.with_name("unit.py"))
    assert code() != before
    record.code_digest.cache_clear()
