"""An optimiser, a schedule and a loss of one's own, of a file outside the package, and trainer.extra.

Trained, killed, resumed, swept, reported.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from forked import killed, restored
from own_project import SMALL, project, refused, rows
from resnet_lab.cli import main
from resnet_lab.config.identity import identity
from resnet_lab.config.request import compose
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder

CODE = '''
import torch


class Signed(torch.optim.Optimizer):
    """Steps by the sign of a running mean of gradients, which is its state."""

    def __init__(self, params, lr, keep=0.9, weight_decay=0.0):
        super().__init__(params, {"lr": lr, "keep": keep, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    mean = self.state[weight].setdefault("mean", torch.zeros_like(weight))
                    mean.lerp_(weight.grad, 1 - group["keep"])
                    weight.sub_(mean.sign(), alpha=group["lr"])
        return loss


def down(iteration, total):
    return 1 - iteration / total


class Focal(torch.nn.Module):
    def __init__(self, gamma=2.0):
        super().__init__()
        self.gamma = gamma

    def forward(self, scores, labels):
        each = torch.nn.functional.cross_entropy(scores, labels, reduction="none")
        return (1 - (-each).exp()) ** self.gamma * each
'''
PARTS = {
    "optimizer": ["recipe.optimizer=my_parts.Signed", "recipe.optimizer_args={keep: 0.8}", "recipe.lr=0.001"],
    "schedule": ["recipe.schedule=my_parts.down"],
    "loss": ["recipe.loss=my_parts.Focal", "recipe.loss_args={gamma: 1.5}"],
    "argument of Lightning's": ["trainer.extra={limit_train_batches: 2, check_val_every_n_epoch: 2}"],
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with project(tmp_path, monkeypatch, {"my_parts": CODE}) as path:
        yield path


@pytest.mark.parametrize("part", PARTS)
def test_a_run_with_a_part_of_ones_own_is_killed_and_ends_as_the_run_that_was_not(part: str) -> None:
    asked = [*SMALL, *PARTS[part], "recipe.epochs=4"]
    whole = RunFolder.create(compose([*asked, "name=whole"]))
    record = execute(whole.path)
    assert record.error is None
    run = RunFolder.create(compose(asked))
    killed(run, "after", 4)
    resumed = execute(run.path)
    assert restored(run) == [4]
    assert resumed.last == record.last
    assert rows(run) == rows(whole)
    assert run.weights_file.read_bytes() == whole.weights_file.read_bytes()


@pytest.mark.parametrize("part", PARTS)
def test_each_part_makes_another_run_and_so_does_an_edit_of_its_file(part: str, folder: Path) -> None:
    before = identity(compose([*SMALL, *PARTS[part]]))
    assert before != identity(compose([*SMALL, *PARTS["optimizer"][2:]]))
    (folder / "my_parts.py").write_text(CODE + "EDITED = True\n")
    after = identity(compose([*SMALL, *PARTS[part]]))
    assert (after != before) == ("my_parts" in PARTS[part][0])


def test_parts_of_ones_own_are_swept_beside_the_built_in_ones_and_reported(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = [
        "recipe.optimizer=sgd,my_parts.Signed",
        "recipe.loss=my_parts.Focal",
        "recipe.lr=0.001",
        "seed=0,1",
    ]
    assert main(["train", "-m", *SMALL, *sweep, "recipe.schedule=my_parts.down", "name=parts"]) == 0
    assert main(["report", "runs/parts"]) == 0
    assert "my_parts.Signed" in capsys.readouterr().out
    with (folder / "runs" / "parts" / "table.csv").open(newline="") as file:
        groups = {group["recipe.optimizer"]: group["n"] for group in csv.DictReader(file)}
    assert groups == {"my_parts.Signed": "2", "sgd": "2"}


MISTAKES = {
    "optimizer": (
        "recipe.optimizer=my_parts.Sigmed",
        "my_parts has no 'Sigmed'; did you mean my_parts.Signed?",
    ),
    "its argument": ("recipe.optimizer_args={keeps: 1}", "recipe.optimizer"),
    "schedule": ("recipe.schedule=my_parts.Focal", "recipe.schedule=my_parts.Focal"),
    "loss": ("recipe.loss=my_parts.down", "recipe.loss=my_parts.down fails: RuntimeError"),
    "a file that is not there": ("recipe.loss=your_parts.Focal", "no module 'your_parts'"),
    "a target that runs programs": ("recipe.loss=os.system", "recipe.loss=os.system is refused"),
    "argument of Lightning's": ("trainer.extra.limit_train_batchs=2", "did you mean 'limit_train_batches'"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_before_anything_is_written(
    mistake: str, capsys: pytest.CaptureFixture[str]
) -> None:
    override, told = MISTAKES[mistake]
    assert told in refused([*SMALL, override], capsys)
