"""Checkpoints: when they are written, how many stay, and which of them can be trusted."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from forked import iterations, killed, restored
from resnet_lab.config.schema import CheckpointConfig, TrainConfig
from resnet_lab.models.build import build
from resnet_lab.models.weights import read
from resnet_lab.runs.checkpoints import UnreadableCheckpoint, newest_sound, remove_unfinished, weights_of
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder
from resnet_lab.trained import network as nets

MakeConfig = Callable[..., TrainConfig]


def make(make_config: MakeConfig, **choices: int | float | None) -> RunFolder:
    return RunFolder.create(make_config(callbacks={"checkpoint": CheckpointConfig(**choices)}))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def written_by_a_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("interrupted")


@pytest.fixture
def interrupted(make_config: MakeConfig, written_by_a_run: Path, tmp_path: Path) -> RunFolder:
    """A run of 15 iterations that was killed at 8, with the checkpoints of 6 and 8."""
    if not any(written_by_a_run.iterdir()):
        config = make_config(callbacks={"checkpoint": CheckpointConfig(every_iterations=2)})
        config.runs_root = str(written_by_a_run)
        killed(RunFolder.create(config), "after", 8)
    [path] = written_by_a_run.glob("*/*")
    return RunFolder(shutil.copytree(path, tmp_path / "run"))


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def flipped(path: Path) -> None:
    """One bit of the middle, as a bad disk does it: within a tensor, where nothing but a checksum sees it."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def replaced(path: Path) -> None:
    """A pickle that would run code is not loaded."""
    torch.save({"state_dict": Path("somewhere")}, path)


def changed(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    checkpoint = torch.load(path, weights_only=True)
    change(checkpoint)
    torch.save(checkpoint, path)


def of_another_program(path: Path) -> None:
    torch.save({"net": torch.zeros(3), "epoch": 7}, path)


def of_another_run(path: Path) -> None:
    changed(path, lambda checkpoint: checkpoint["run"].update(chosen='{"seed":7}'))


def of_another_net(path: Path) -> None:
    """Of an earlier version, which does not tell whose it is."""

    def change(checkpoint: dict[str, Any]) -> None:
        del checkpoint["run"]
        checkpoint["state_dict"]["backbone.fc.weight"] = torch.zeros(11, 16)

    changed(path, change)


def as_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


SPOILT = [truncated, flipped, replaced, of_another_program, of_another_run, of_another_net, as_a_pipe]


@pytest.mark.parametrize(
    "name", ["00000999.ckpt", "99999999.ckpt", "9.ckpt", "latest.ckpt", "00000009-v1.ckpt"]
)
def test_checkpoint_under_another_name_decides_nothing(
    name: str, interrupted: RunFolder, written_by_a_run: Path, tmp_path: Path
) -> None:
    [path] = written_by_a_run.glob("*/*")
    undisturbed = RunFolder(shutil.copytree(path, tmp_path / "undisturbed"))
    shutil.copy(interrupted.checkpoints / "00000006.ckpt", interrupted.checkpoints / name)
    last = read(interrupted.path)["fc.weight"]
    assert torch.equal(last, read(interrupted.checkpoints / "00000008.ckpt")["fc.weight"])
    for folder in (interrupted, undisturbed):
        assert execute(folder.path).state == "finished"
    assert interrupted.weights_file.read_bytes() == undisturbed.weights_file.read_bytes()
    assert interrupted.record().last == undisturbed.record().last


def test_run_that_waits_for_its_test_alone_tests_its_last_checkpoint(interrupted: RunFolder) -> None:
    execute(interrupted.path)
    before = interrupted.weights_file.read_bytes()
    interrupted.record_file.unlink()
    shutil.copy(interrupted.checkpoints / "00000014.ckpt", interrupted.checkpoints / "00000016.ckpt")
    execute(interrupted.path)
    assert interrupted.weights_file.read_bytes() == before


@pytest.mark.parametrize("spoil", SPOILT)
def test_spoilt_newest_checkpoint_falls_back_to_the_one_before(
    spoil: Callable[[Path], None], interrupted: RunFolder
) -> None:
    assert iterations(interrupted) == [8, 6]
    spoil(interrupted.checkpoints / "00000008.ckpt")
    config = interrupted.config()
    found = newest_sound(interrupted.checkpoints, config, build(config.model))
    assert found is not None
    assert found.name == "00000006.ckpt"


def test_run_with_a_spoilt_checkpoint_goes_on_from_the_one_before_and_tells_so(
    interrupted: RunFolder,
) -> None:
    truncated(interrupted.checkpoints / "00000008.ckpt")
    assert execute(interrupted.path).state == "finished"
    assert restored(interrupted) == [6]
    log = interrupted.log_file.read_text()
    assert "00000008.ckpt cannot be used (" in log
    assert "weights_only" not in log  # Lightning's, of each checkpoint
    assert len(interrupted.history_file.read_text().splitlines()) == 1 + 3


def test_run_whose_checkpoints_are_all_spoilt_fails_with_one_line_and_keeps_them(
    interrupted: RunFolder,
) -> None:
    for path in interrupted.checkpoints.iterdir():
        truncated(path)
    record = execute(interrupted.path)
    assert record.state == "failed"
    assert record.error.kind == "unreadable_checkpoint"
    message = record.error.message
    assert message.startswith("cannot go on from 00000008.ckpt (")
    assert message.endswith(f"): delete {interrupted.checkpoints} to train from the start")
    assert iterations(interrupted) == [8, 6]
    with pytest.raises(UnreadableCheckpoint):
        nets.of_run(interrupted.path)


def test_checkpoints_of_another_run_are_refused_with_the_keys_that_differ(
    interrupted: RunFolder, make_config: MakeConfig
) -> None:
    with pytest.raises(
        UnreadableCheckpoint, match=r"it belongs to another run: recipe\.lr: 0\.2 is not the default"
    ):
        newest_sound(interrupted.checkpoints, make_config(recipe={"lr": 0.2}))


def test_what_a_killed_process_was_writing_is_removed_wherever_it_lay(interrupted: RunFolder) -> None:
    kept = [interrupted.path / "wandb" / "mine.tmp", interrupted.path / ".history.csv.swp"]
    left = [interrupted.path / ".record.json.123.tmp", interrupted.checkpoints / ".00000010.ckpt.9.tmp"]
    kept[0].parent.mkdir()
    for path in (*kept, *left):
        path.write_bytes(b"half")
    remove_unfinished(interrupted.path)
    assert [path.exists() for path in (*kept, *left)] == [True, True, False, False]


def test_a_folder_without_checkpoints_has_no_newest(make_config: MakeConfig, tmp_path: Path) -> None:
    assert newest_sound(tmp_path, make_config()) is None


@pytest.mark.parametrize(
    ("choices", "kept"),
    [
        ({"every_iterations": 2, "keep": 3}, [15, 14, 12]),
        ({"every_iterations": None, "keep": 9}, [15, 10, 5]),  # at the end of each epoch all the same
        ({"every_iterations": None, "every_minutes": 0.0, "keep": 4}, [15, 14, 13, 12]),
        ({"every_iterations": 100, "keep": 0}, [15]),  # the last one is never removed
    ],
)
def test_checkpoints_are_written_and_kept_as_asked(
    choices: dict[str, int], kept: list[int], make_config: MakeConfig
) -> None:
    folder = make(make_config, **choices)
    execute(folder.path)
    assert iterations(folder) == kept


def test_checkpoint_loads_as_plain_tensors_under_torchvisions_names(interrupted: RunFolder) -> None:
    newest = interrupted.checkpoints / "00000008.ckpt"
    weights = weights_of(newest)
    net = nets.of_run(interrupted.path).load().state_dict()
    assert weights.keys() == net.keys()
    assert all(torch.equal(weights[name], net[name]) for name in net)
