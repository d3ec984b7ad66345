"""What a record tells of a run and the code that made it, and how a file of it is read."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from resnet_lab.errors import UserError
from resnet_lab.report.collect import collect
from resnet_lab.runs import recording
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.record import Record, State
from run_folders import configured, ended, finished, lost

OLD = Path(__file__).parent / "schema1" / "resnet-8-width_2-s0-ba5cd526"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of this package, as it may be installed without git."""
    copy = shutil.copytree(recording.PACKAGE, tmp_path / "src" / "resnet_lab")
    monkeypatch.setattr(recording, "PACKAGE", copy)
    yield copy
    recording.code_digest.cache_clear()
    recording.environment.cache_clear()


def code() -> str:
    recording.code_digest.cache_clear()
    recording.environment.cache_clear()
    return str(recording.environment().code)


def test_record_tells_the_code_where_there_is_no_commit(package: Path) -> None:
    assert re.fullmatch(r"[0-9a-f]{8}", code())
    assert recording.environment().git_commit is None


def test_digest_of_the_code_follows_what_can_change_a_result_and_nothing_else(package: Path) -> None:
    before = code()
    for harmless in ("report/table.py", "cli/core.py", "runs/folder.py", "sweeps/sweep.py", "files.py"):
        (package / harmless).write_text((package / harmless).read_text() + "\n")
    assert code() == before
    for room in ("data/order.py", "training/recipes.py", "runs/train.py", "runs/checkpoints.py"):
        (package / room).write_text((package / room).read_text() + "\n")
        assert before != (before := code())
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


def test_folder_of_the_first_schema_is_still_read(tmp_path: Path) -> None:
    folder = RunFolder(shutil.copytree(OLD, tmp_path / OLD.name))
    (run,) = collect(folder.path)
    assert (folder.state(), run.last("test/error"), run.iterations) == (State.FINISHED, 92.0, 8)
    found = folder.record()
    assert (found.schema, found.hash, found.best["epoch"]) == (1, "ba5cd526", 2)
    assert (found.model.depth, found.data.train, found.cost.trained_on) == (8, 200, [1])
    assert (found.batch_norm.images, found.error, found.environment.python) == (64, None, "3.11.7")


def test_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    for made in (ended(configured(tmp_path), 1.5, best=3), lost(configured(tmp_path))):
        assert Record.from_json(made.to_json()) == made


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("cost.train_seconds", "many", "cost.train_seconds='many' is not a number"),
        ("cost.train_seconds", -1.0, "cost.train_seconds=-1.0: must be at least 0"),
        ("cost.devices", 1.5, "cost.devices=1.5 is not a whole number"),
        ("cost.trained_on", [1, None], "cost.trained_on=None is not a whole number"),
        ("cost", 5, "cost=5 is not a mapping"),
        ("last.test/error", float("nan"), "last.test/error=nan is not a number"),
        ("last.test/error", float("inf"), "last.test/error=inf is not a number"),
        ("last.test/error", -3.0, "last.test/error=-3.0: must be from 0 to 100"),
        ("last.test/error", 250, "last.test/error=250: must be from 0 to 100"),
        ("last.test/error", True, "last.test/error=True is not a number"),
        ("last.iteration", None, "it has no last.iteration"),
        ("model.kind", ["plain"], "model.kind=['plain'] is not a text"),
        ("state", "done", "state='done' is not a state"),
        ("state", "running", "state=running: must be finished or failed"),
        ("schema", 99, "its schema is 99"),
        ("schema", "1", "its schema is '1'"),
        ("error", {"message": "it broke"}, "error has no kind"),
    ],
)
def test_damaged_figure_of_a_record_is_named(tmp_path: Path, key: str, value: object, reason: str) -> None:
    folder = finished(configured(tmp_path), 2.0)
    told = json.loads(folder.record_file.read_text())
    del told["digest"]
    part, _, name = key.rpartition(".")
    (told[part] if part else told)[name] = value
    folder.record_file.write_text(json.dumps(told))
    with pytest.raises(UserError) as error:
        folder.record()
    assert f"({reason}" in str(error.value)
    assert "\n" not in str(error.value)
