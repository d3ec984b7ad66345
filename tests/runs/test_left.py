"""What lies in a run folder is held against what its run left: what is damaged or of another run gives no figure."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from forked import killed
from resnet_lab.cli import main
from resnet_lab.config.schema import CheckpointConfig, TrainConfig, TrainerConfig
from resnet_lab.errors import UserError
from resnet_lab.models.weights import read
from resnet_lab.report.collect import collect
from resnet_lab.report.compare import summarise
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder
from run_folders import configured, finished

MakeConfig = Callable[..., TrainConfig]


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("left")


@pytest.fixture
def runs(make_config: MakeConfig, trained_once: Path, tmp_path: Path) -> list[Path]:
    """Two finished runs that differ in the seed alone."""
    if not any(trained_once.iterdir()):
        for seed in (0, 1):
            config = replace(make_config(seed=seed, recipe={"epochs": 1}), runs_root=str(trained_once))
            assert execute(RunFolder.create(config).path).state == "finished"
    return sorted(Path(shutil.copytree(trained_once, tmp_path / "runs")).glob("*/*"))


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) * 2 // 3] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", ["flipped", "of another run"])
@pytest.mark.parametrize("name", ["weights.safetensors", "preprocessing.json", "history.csv", "record.json"])
def test_what_is_not_as_the_run_left_it_gives_no_figure(
    name: str, damage: str, runs: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    ours, other = runs
    if damage == "flipped":
        flip(ours / name)
    elif (ours / name).read_bytes() == (other / name).read_bytes():
        return  # how images are seen is the same in both
    else:
        shutil.copy(other / name, ours / name)
    lines: list[str] = []
    found = [run.path for run in collect(ours.parent, lines.append)]
    told = name in ("history.csv", "record.json")
    assert (found, len(lines)) == (([other], 1) if told else ([ours, other], 0))
    if name != "history.csv":
        assert main(["evaluate", "--run", str(ours)]) == 2
        assert str(ours) in capsys.readouterr().err
    if name == "weights.safetensors":
        with pytest.raises(UserError, match="not what the run left"):
            read(ours)
    if name == "record.json":
        with pytest.raises(UserError, match="remove it"):
            execute(ours)


def test_record_of_another_run_is_told_where_the_configuration_is_missing_too(tmp_path: Path) -> None:
    """The committed results hold records and histories alone, whose folders are named after the run."""
    one, other = (finished(configured(tmp_path, seed=seed), 1.0 + seed) for seed in (0, 1))
    shutil.copy(other.record_file, one.record_file)
    with pytest.raises(UserError, match=f"it is of the run {other.record().hash}"):
        one.record()
    one.config_file.unlink()
    with pytest.raises(UserError, match=f"it is of the run {other.record().hash}"):
        one.record()


def test_edited_figure_is_noticed(tmp_path: Path) -> None:
    folder = finished(configured(tmp_path), 8.0)
    told = json.loads(folder.record_file.read_text())
    told["last"]["test/error"] = 3.0
    folder.record_file.write_text(json.dumps(told))
    with pytest.raises(UserError, match="its digest is another"):
        folder.record()


def test_threads_that_were_edited_between_two_attempts_are_told(make_config: MakeConfig) -> None:
    cpu = TrainerConfig(accelerator="cpu", threads=1, progress=False)
    config = make_config(trainer=cpu, callbacks={"checkpoint": CheckpointConfig(every_iterations=2)})
    folder = RunFolder.create(config)
    killed(folder, "after", 8)
    text = folder.config_file.read_text()
    folder.config_file.write_text(text.replace("threads: 1\n", "threads: 2\n"))
    record = execute(folder.path)
    assert (record.cost.threads, record.cost.threads_in_turn) == (2, [1, 2])
    (group,) = summarise(collect(folder.path))
    assert group.choices["trainer.threads"] == "1, then 2"
    assert "1 resumed with other threads" in group.remarks
