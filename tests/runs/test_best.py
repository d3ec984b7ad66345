"""The best checkpoint, by the validation images, is kept, named, and tested where that is asked for."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from forked import killed
from resnet_lab.cli import main
from resnet_lab.config.identity import identity
from resnet_lab.config.request import compose
from resnet_lab.errors import UserError
from resnet_lab.runs.checkpoints import BEST, weights_of
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.history import read_columns
from resnet_lab.trained.network import of_itself

# It gets worse after its first epochs: 15 iterations, an epoch of 5.
SMALL = (
    *("data=digits", "data.train_images=160", "data.test_images=80", "data.validation=40", "model.depth=8"),
    *(
        "model.width=4",
        "recipe.epochs=3",
        "recipe.batch_size=32",
        "recipe.schedule=constant",
        "recipe.lr=1.5",
    ),
    *("trainer.accelerator=cpu", "trainer.threads=1", "trainer.progress=false"),
    "callbacks.checkpoint.best=val/loss",
)


def made(root: Path, *more: str) -> RunFolder:
    return RunFolder.create(compose([*SMALL, f"runs_root={root}", *more]))


@pytest.fixture
def best(tmp_path: Path) -> RunFolder:
    folder = made(tmp_path, "test_with=best", "callbacks.checkpoint.every_iterations=2")
    record = execute(folder.path)
    assert record.error is None
    return folder


def test_best_epoch_is_kept_tested_and_shipped(
    best: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    losses = read_columns(best.history_file)["val/loss"]
    record, epoch = best.record(), 1 + losses.index(min(losses))
    assert (record.tested, record.kept["epoch"], record.kept["iteration"]) == ("best", epoch, 5 * epoch)
    assert record.kept["val/loss"] == pytest.approx(min(losses), rel=1e-5)
    kept = weights_of(best.checkpoints / BEST)
    assert all(torch.equal(value, kept[name]) for name, value in load_file(best.weights_file).items())
    for source in (best.checkpoints / BEST, best.path):
        capsys.readouterr()
        assert main(["evaluate", "--run", str(source)]) == 0
        assert f" {record.last['test/error']:.2f} " in capsys.readouterr().out
    assert of_itself(best.checkpoints / BEST).name.endswith(BEST)
    assert main(["train", *SMALL, f"runs_root={tmp_path}", "test_with=best"]) == 0
    assert f"with the weights of epoch {epoch}, the best by val/loss" in capsys.readouterr().out


def test_last_iteration_is_tested_unless_asked_otherwise(best: RunFolder, tmp_path: Path) -> None:
    last = made(tmp_path)
    assert last.path != best.path
    record = execute(last.path)
    assert (record.tested, record.kept) == ("last", best.record().kept)
    assert record.last["iteration"] == 15
    kept = [weights_of(folder.checkpoints / BEST) for folder in (last, best)]
    assert all(torch.equal(value, kept[1][name]) for name, value in kept[0].items())


@pytest.mark.parametrize("when", [4, 8, 12])
def test_run_that_is_killed_ends_with_the_same_best(best: RunFolder, tmp_path: Path, when: int) -> None:
    folder = made(tmp_path / "killed", "test_with=best", "callbacks.checkpoint.every_iterations=2")
    killed(folder, "after", when)
    record = execute(folder.path)
    assert (record.kept, record.last) == (best.record().kept, best.record().last)
    assert folder.weights_file.read_bytes() == best.weights_file.read_bytes()


def test_best_checkpoint_that_is_damaged_or_another_tests_nothing(best: RunFolder) -> None:
    best.record_file.unlink()
    shutil.copy(best.checkpoints / "00000014.ckpt", best.checkpoints / BEST)
    error = execute(best.path).error
    assert error.kind == "unreadable_checkpoint"
    assert "it is of iteration 14" in error.message


def test_it_is_never_chosen_by_test_images_and_what_is_not_logged_is_refused() -> None:
    for asked, said in (
        ("callbacks.checkpoint.best=test/error", "on the validation images alone"),
        ("callbacks.checkpoint.best=val/eror", "no such figure is logged; allowed: val/error"),
        ("data.validation=0", "needs validation images"),
    ):
        with pytest.raises(UserError, match=said):
            compose([*SMALL, asked])
    with pytest.raises(UserError, match="needs a figure to choose by"):
        compose([*SMALL, "callbacks.checkpoint.best=null", "test_with=best"])


def test_what_chooses_is_part_of_the_identity_and_how_often_is_not() -> None:
    best = identity(compose([*SMALL]))
    assert identity(compose([*SMALL, "callbacks.checkpoint.best=val/error"])) != best
    assert identity(compose([*SMALL, "test_with=best"])) != best
    assert identity(compose([*SMALL, "callbacks.checkpoint.keep=5"])) == best
