"""Another number of threads rounds differently: a run's are fixed with its folder, whatever else waits."""

import platform
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

import folders
from forked import ended, forked, forked_server, killed
from resnet_lab.config.schema import TrainConfig, TrainerConfig
from resnet_lab.data.spec import (
    DataConfig,
    ImageFolderConfig,
    OwnConfig,
    SmallFolderConfig,
    SmallImagesConfig,
)
from resnet_lab.errors import UserError
from resnet_lab.models.description import ModelConfig
from resnet_lab.runs import folder
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder, threads_of
from resnet_lab.runs.numerics import compute_with, keep_freed
from resnet_lab.runs.record import State
from resnet_lab.sweeps.board import Board
from resnet_lab.sweeps.jobs import Job
from resnet_lab.sweeps.places import local
from resnet_lab.sweeps.places.local import Local, LocalOptions
from resnet_lab.sweeps.sweep import run_sweep
from resnet_lab.training.recipes import RecipeConfig

MakeConfig = Callable[..., TrainConfig]
CPU = {"trainer": TrainerConfig(accelerator="cpu", progress=False)}  # threads are left open


@pytest.fixture
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "usable_cores", lambda: 8)


@pytest.mark.parametrize(
    ("images", "trainer", "share", "expected"),
    [
        (False, {}, None, 1),  # small images: one, on any machine
        (False, {}, 4, 1),
        (False, {"threads": 3}, 4, 3),  # what was asked for
        (True, {}, None, 8),
        (True, {}, 4, 4),  # the share of the cores that the launcher gives
        (True, {"devices": 2}, None, 4),  # divided among the processes of the run
        (True, {"devices": 16}, None, 1),
    ],
)
def test_threads_follow_from_the_configuration_and_the_cores_alone(
    images: bool,
    trainer: dict[str, Any],
    share: int | None,
    expected: int,
    make_config: MakeConfig,
    eight_cores: None,
) -> None:
    data = (
        {"data": folders.config("photographs", crop=128, resize=144, scale_min=144, scale_max=160)}
        if images
        else {}
    )
    config = make_config(trainer=TrainerConfig(accelerator="cpu", **trainer), **data)
    folder = RunFolder.create(config, share)
    assert folder.config().trainer.threads == expected
    assert (
        folder.path == RunFolder.create(make_config(**CPU, **data)).path
    )  # they are no part of the identity


def test_begun_run_keeps_its_threads_whoever_goes_on_with_it(make_config: MakeConfig) -> None:
    images = {"data": folders.config("photographs", crop=128, resize=144, scale_min=144, scale_max=160)}
    folder = RunFolder.create(make_config(**CPU, **images), 3)
    assert RunFolder.create(make_config(**CPU, **images), 2).config().trainer.threads == 2  # not begun yet
    folder.lock_file.touch()
    assert RunFolder.create(make_config(**CPU, **images), 5).config().trainer.threads == 2
    assert Job.of(make_config(**CPU, **images), 5).config.trainer.threads == 2
    asked = make_config(trainer=TrainerConfig(accelerator="cpu", threads=5), **images)
    with pytest.raises(UserError, match=r"trainer\.threads=5: .* was started with 2, .* omit it to resume"):
        RunFolder.create(asked)


def test_run_computes_with_its_threads_and_its_record_tells_how_many(make_config: MakeConfig) -> None:
    """Whatever the process had before, as in a notebook, and whatever Lightning would choose for DDP."""
    trainer = TrainerConfig(accelerator="cpu", threads=2, strategy="ddp", progress=False)
    folder = RunFolder.create(make_config(trainer=trainer, recipe={"epochs": 1}))

    def train() -> None:
        compute_with(1)
        execute(folder.path)

    assert ended(forked(train)) == 0
    assert folder.record().cost.threads == 2


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another malloc")
def test_memory_that_a_step_frees_is_there_for_the_next() -> None:
    def pages() -> int:
        """That a step touches first."""
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.ones(2**24)  # 64 MiB: 16,384 pages
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    def steps() -> None:
        assert keep_freed()
        assert min(pages() for _ in range(8)) < 100

    assert ended(forked(steps)) == 0


def test_run_ends_with_the_same_bits_alone_beside_another_and_after_an_interruption(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "server_process", forked_server)
    place = Local(LocalOptions())

    def made(where: str, seed: int = 3) -> Job:
        config = make_config(**CPU, seed=seed, runs_root=str(tmp_path / where))
        return Job.of(config, place.cores(config))

    alone = made("alone").folder
    assert ended(forked(lambda: execute(alone.path))) == 0  # as `resnet-lab train seed=3`
    killed(made("stopped").folder, "after", 5)
    jobs = [made("beside"), made("beside", seed=4), made("stopped")]
    run_sweep(jobs, place, Board(jobs, Console(quiet=True)))
    assert {job.status for job in jobs} == {State.FINISHED}
    for job in (jobs[0], jobs[2]):
        assert job.folder.weights_file.read_bytes() == alone.weights_file.read_bytes()


@pytest.mark.parametrize(
    ("data", "threads"),
    [
        (SmallImagesConfig(name="digits"), 1),
        (SmallFolderConfig(name="small_folder", size=128), 8),
        (OwnConfig(height=32, width=32), 1),
        (OwnConfig(height=32, width=224), 8),
        (ImageFolderConfig(name="image_folder", crop=64), 1),
        (ImageFolderConfig(name="imagenet"), 8),
    ],
)
def test_a_run_of_small_images_has_one_thread(data: DataConfig, threads: int) -> None:
    assert threads_of(TrainConfig(data, ModelConfig(), RecipeConfig()), share=8) == threads
