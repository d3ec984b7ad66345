"""debug=overfit, profile and limit: what each makes of a run, and what it leaves."""

import itertools
import json
import math
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from forked import as_torchrun
from resnet_lab.cli import main
from resnet_lab.config.identity import identity
from resnet_lab.config.request import compose
from resnet_lab.data import counted
from resnet_lab.debug import largest_batch, lr_range
from resnet_lab.debug import photographs as debug_images
from resnet_lab.errors import UserError
from resnet_lab.report import collect
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder

TINY = [
    "model.depth=8",
    "model.width=4",
    "trainer.accelerator=cpu",
    "trainer.threads=1",
    "trainer.progress=false",
]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return debug_images.make(tmp_path_factory.mktemp("debug") / "photographs")


def trained(tmp_path: Path, *overrides: str, code: int = 0) -> RunFolder:
    assert main(["train", *TINY, f"runs_root={tmp_path}", *overrides]) == code
    [run] = collect(tmp_path)
    assert run.path.parent == tmp_path / "debug/scratch"
    return RunFolder(run.path)


def test_overfit_ends_when_the_one_batch_is_learnt_by_heart(tmp_path: Path) -> None:
    record = trained(tmp_path, "debug=overfit").record()
    assert record.last["train/error"] == 0
    assert record.data.train == 32
    assert record.stopped_early_at == record.last["iteration"] < 150


@pytest.mark.parametrize("mode", ["lr_range", "batch"])
def test_two_devices_agree_on_when_to_end(mode: str, tmp_path: Path) -> None:
    given = [*TINY, f"debug={mode}", "data.train_images=256", f"runs_root={tmp_path}"]

    def debug() -> None:
        lr_range.DIVERGED = 1.0  # as soon as the loss has risen, which is not at once on both
        sys.exit(main(["train", *given]))

    assert as_torchrun(debug) == [0, 0]
    [run] = collect(tmp_path)
    assert run.state == "finished"


def test_overfit_fails_where_the_net_does_not_learn_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resnet_lab.debug.modes.BY_HEART", (16, 3))
    error = trained(tmp_path, "debug=overfit", "recipe.lr=1e-9", code=1).record().error
    assert error.kind == "not_by_heart"
    assert "after 3 iterations" in error.message


def test_profile_leaves_the_slowest_operators_and_a_trace(tmp_path: Path) -> None:
    folder = trained(tmp_path, "debug=profile", "data.train_images=200", "recipe.batch_size=8").path
    assert "convolution" in (folder / "profile.txt").read_text()
    assert json.loads((folder / "trace.json").read_text())["traceEvents"]


@pytest.mark.parametrize("debug", ["true", "overfit", "profile", "limit"])
def test_a_folder_is_read_as_it_was_made(debug: str, tmp_path: Path) -> None:
    config = compose(["recipe=he2015_cifar", f"debug={debug}", f"runs_root={tmp_path}"])
    again = RunFolder.create(config).config()
    assert again.debug == config.debug == (True if debug == "true" else debug)
    assert identity(again) == identity(config)


def test_only_the_data_and_the_length_of_a_limited_run_are_others() -> None:
    full = compose(["recipe=he2015_cifar", "data=digits"])
    short = compose(["recipe=he2015_cifar", "data=digits", "debug=limit"])
    assert short.model == full.model
    assert short.recipe == replace(full.recipe, iterations=640, drops=[320.0, 480.0])
    assert (short.data.train_images, short.data.test_images) == (128, 3)  # at least a batch
    assert short.data == replace(full.data, validation=0, train_images=128, test_images=3)


def test_a_recipe_of_epochs_keeps_them_where_the_images_are_fewer() -> None:
    assert compose(["debug=limit", "recipe=digits"]).recipe == compose(["recipe=digits"]).recipe


def test_the_one_batch_is_of_the_real_images_as_they_are(photographs: Path) -> None:
    chosen = [
        "data=image_folder",
        f"data.root={photographs}",
        "data.crop=32",
        "data.resize=40",
        "model=resnet18",
    ]
    one = compose([*chosen, "recipe=torchvision_v2", "debug=overfit"])
    assert (one.data.root, one.data.train_images) == (str(photographs), 32)
    assert one.data.test_images == counted(one.data)[1] == 32
    data, recipe = one.data, one.recipe
    assert (data.flip, data.random_erasing, data.trivial_augment) == (False, 0, False)
    assert (recipe.mixup, recipe.cutmix, recipe.label_smoothing, recipe.weight_decay, recipe.ema) == (0,) * 5


def test_another_word_is_refused_with_those_there_are() -> None:
    with pytest.raises(UserError, match="did you mean 'overfit'"):
        compose(["debug=overfitt"])


def test_a_range_of_rates_ends_with_a_suggestion(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = compose(
        [
            *("data=digits", "model.depth=8", "model.width=4", "recipe.batch_size=64", "debug=lr_range"),
            *("trainer.accelerator=cpu", "trainer.threads=1", f"runs_root={tmp_path}"),
        ]
    )
    run = RunFolder.create(config)
    assert execute(run.path).error is None
    assert "the loss falls fastest at recipe.lr=" in capsys.readouterr().out
    rows = (run.path / "lr_range.csv").read_text().splitlines()[1:]
    rates = [float(row.partition(",")[0]) for row in rows]
    assert rates[0] == pytest.approx(1e-5, rel=1e-3)
    assert all(1.05 < second / first < 1.1 for first, second in itertools.pairwise(rates))
    assert (run.path / "lr_range.png").exists()


def test_batches_double_until_they_hold_all_images_or_memory_is_full(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained(tmp_path / "all", "debug=batch", "data.train_images=100")
    said = capsys.readouterr().out
    assert "recipe.batch_size=64 (" in said
    assert "training images" in said
    rows = [line.split(",") for line in (run.path / "batch_sizes.csv").read_text().splitlines()]
    assert [int(row[0]) for row in rows[1:]] == [8, 16, 32, 64]
    assert all(float(row[2]) > 0 for row in rows[1:])
    used = iter(range(1, 1000))
    monkeypatch.setattr(largest_batch, "used", lambda _: 2.0 ** next(used) * 1e9)
    monkeypatch.setattr(
        largest_batch, "SHARE", 12e9 / (os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    )
    trained(tmp_path / "full", "debug=batch", "data.train_images=100")
    assert "recipe.batch_size=32 (8 GB; memory is full)" in capsys.readouterr().out


def test_a_batch_is_enlarged_by_its_own_images() -> None:
    images, labels = largest_batch.enlarged((torch.arange(3.0).reshape(3, 1, 1, 1), torch.arange(3)), 5)
    assert images.flatten().tolist() == labels.tolist() == [0, 1, 2, 0, 1]


def test_the_suggested_rate_is_where_the_loss_falls_fastest() -> None:
    rates = [10 ** (step / 20) for step in range(-80, 20)]
    losses = [2 - math.atan(10 * (math.log10(rate) + 1)) for rate in rates]
    assert lr_range.suggestion(rates, losses) == pytest.approx(0.1, rel=0.01)
    assert lr_range.suggestion(rates, sorted(losses)) is None
