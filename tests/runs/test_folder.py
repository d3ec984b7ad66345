"""The run folder: states, the lock, and what may be written into it."""

import contextlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from resnet_lab.config.schema import TrainConfig, TrainerConfig
from resnet_lab.data.spec import ImageFolderConfig
from resnet_lab.errors import UserError
from resnet_lab.files import replacing
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import CHOSEN, RunFolder
from resnet_lab.runs.lock import LostLock
from resnet_lab.runs.record import Record
from resnet_lab.runs.successors import of_other_code
from resnet_lab.sweeps.jobs import Job
from run_folders import ended as finished_record
from run_folders import lost

MakeConfig = Callable[..., TrainConfig]


@pytest.fixture
def folder(make_config: MakeConfig) -> RunFolder:
    return RunFolder.create(make_config())


def test_folder_name_tells_model_seed_and_identity(folder: RunFolder, tmp_path: Path) -> None:
    assert folder.path.parent == tmp_path / "runs" / "scratch"
    assert folder.path.name.startswith("resnet-8")
    assert "-s0-" in folder.path.name


def test_written_configuration_reads_back_with_its_types(make_config: MakeConfig) -> None:
    for data in (make_config().data, ImageFolderConfig(name="imagenet", root="somewhere")):
        config = make_config(data=data)
        assert RunFolder.create(config).config() == config


def test_creating_again_keeps_the_run_and_updates_where_it_trains(
    make_config: MakeConfig, folder: RunFolder
) -> None:
    again = RunFolder.create(make_config(trainer=TrainerConfig(devices=2)))
    assert again.path == folder.path
    assert again.config().trainer.devices == 2


def test_folder_of_another_run_is_refused_with_the_difference(
    make_config: MakeConfig, folder: RunFolder
) -> None:
    before = folder.config_file.read_bytes()
    with pytest.raises(UserError, match=r"holds another run: recipe\.lr: 0\.1 is not 0\.2$"):
        RunFolder.create(make_config(recipe={"lr": 0.2}, run_dir=str(folder.path)))
    assert folder.config_file.read_bytes() == before


def test_configuration_of_a_finished_run_stays_as_it_was(make_config: MakeConfig, folder: RunFolder) -> None:
    folder.write_record(finished_record(folder.config(), 1.0))
    before = folder.config_file.read_bytes()
    RunFolder.create(make_config(trainer=TrainerConfig(devices=2)))
    assert folder.config_file.read_bytes() == before


def test_spoilt_configuration_is_told_in_one_line(folder: RunFolder) -> None:
    text = folder.config_file.read_text()
    for spoilt in (text.replace("depth: 8", "dpeth: 8"), text.replace("depth: 8", "depth: deep"), "{", "[1]"):
        folder.config_file.write_text(spoilt)
        with pytest.raises(UserError, match=r"config\.yaml: ") as told:
            folder.config()
        assert "\n" not in str(told.value)


def test_place_without_a_configuration_is_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a run folder"):
        RunFolder(tmp_path).config()


EDITS: dict[str, tuple[Callable[[str], str], str]] = {
    "a choice": (
        lambda text: text.replace("lr: 0.1", "lr: 0.2"),
        r"was edited \(recipe\.lr: 0\.2 is not the default\)",
    ),
    "back to a default": (
        lambda text: text.replace("depth: 8", "depth: 20"),
        r"\(model\.depth: 20 is not 8\)",
    ),
    "the line that tells": (lambda text: text[:-9] + "\n", r"was edited \(its last line\)"),
    "without that line": (
        lambda text: text.replace("lr: 0.1", "lr: 0.2").partition(CHOSEN)[0],
        r"is of the run \w{8}, its folder of \w{8}: undo",
    ),
}


@pytest.mark.parametrize("edit", EDITS)
def test_configuration_that_was_edited_to_be_another_run_is_refused(
    edit: str, make_config: MakeConfig, folder: RunFolder
) -> None:
    change, told = EDITS[edit]
    folder.config_file.write_text(change(folder.config_file.read_text()))
    with pytest.raises(UserError, match=told):
        execute(folder.path)


def test_configuration_of_another_folder_is_refused(make_config: MakeConfig, folder: RunFolder) -> None:
    other = RunFolder.create(make_config(seed=1))
    other.config_file.replace(folder.config_file)
    with pytest.raises(UserError, match=r"config\.yaml is of the run \w{8}, its folder of \w{8}: undo"):
        folder.config()
    with pytest.raises(UserError, match=r"holds another run: seed: 1 is not 0$"):
        RunFolder.create(make_config())


def test_edit_that_changes_no_result_is_taken(make_config: MakeConfig, folder: RunFolder) -> None:
    text = folder.config_file.read_text()
    folder.config_file.write_text(text.replace("threads: 1", "threads: 2"))
    assert folder.config().trainer.threads == 2


def test_folder_of_a_name_of_its_own_is_held_against_its_configuration_too(make_config: MakeConfig) -> None:
    folder = RunFolder.create(make_config(run_dir=str(Path(make_config().runs_root) / "mine")))
    folder.config_file.write_text(folder.config_file.read_text().replace("lr: 0.1", "lr: 0.2"))
    with pytest.raises(UserError, match=r"was edited \(recipe\.lr: 0\.2 is not the default\)"):
        folder.config()


def test_folder_that_cannot_be_written_is_told_in_one_line(make_config: MakeConfig, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write"):
        RunFolder.create(make_config(runs_root=str(tmp_path / "file")))


def test_states_follow_the_life_of_a_run(folder: RunFolder) -> None:
    assert folder.state() == "new"
    with folder.lock():
        assert folder.state() == "running"
    assert folder.state() == "interrupted"
    folder.write_record(lost(folder.config()))
    assert folder.state() == "failed"
    with folder.lock():
        assert folder.state() == "running"
    folder.write_record(finished_record(folder.config(), 1.0))
    assert folder.state() == "finished"


def test_attempts_are_counted_from_the_first_start(folder: RunFolder) -> None:
    with folder.lock() as first:
        started = first.first_started
    with folder.lock() as second:
        assert (second.attempt, second.first_started) == (2, started)


def test_lock_that_was_removed_or_replaced_is_noticed(folder: RunFolder) -> None:
    with folder.lock() as lock:
        lock.check()
        folder.lock_file.unlink()
        with pytest.raises(LostLock, match="was removed"):
            lock.check()
        folder.lock_file.touch()
        with pytest.raises(LostLock, match="was replaced"):
            lock.check()


def test_record_is_the_old_or_the_new_one_whenever_writing_fails(folder: RunFolder) -> None:
    folder.write_record(lost(folder.config()))
    with contextlib.suppress(OSError), replacing(folder.record_file) as temporary:
        temporary.write_text('{"state": "fin')
        raise OSError("no space left")
    assert folder.record() == lost(folder.config())
    assert [path.name for path in folder.path.iterdir() if path.suffix == ".tmp"] == []
    folder.record_file.write_text(folder.record_file.read_text()[:-3])
    with pytest.raises(UserError, match="remove it, and the same command"):
        folder.record()


def test_record_is_read_again_only_once_it_or_its_configuration_has_changed(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write_record(finished_record(folder.config(), 1.0))
    read: list[str] = []
    from_json = Record.from_json
    monkeypatch.setattr(Record, "from_json", lambda text: read.append(text) or from_json(text))
    for _ in range(5):
        assert folder.state() == "finished"
        assert folder.record().last["test/error"] == 1.0
    assert len(read) == 1
    folder.write_record(finished_record(folder.config(), 2.0))
    assert folder.record().last["test/error"] == 2.0
    read.clear()
    job = Job.of(folder.config())  # as a sweep that is called again
    assert (job.status, job.result(), job.diverged) == ("already there", 2.0, False)
    assert of_other_code(job.folder) == ""
    assert len(read) == 1
    folder.config_file.write_text(folder.config_file.read_text().replace(CHOSEN, CHOSEN + '{"seed":7}#'))
    with pytest.raises(UserError, match="it is of the run"):
        folder.record()


def test_folder_and_identity_stay_free_of_torch() -> None:
    code = "import sys, resnet_lab.runs.folder, resnet_lab.config.identity; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
