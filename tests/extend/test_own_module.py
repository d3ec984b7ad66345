"""A training step of one's own: a subclass of Classifier, and any LightningModule.

Trained, killed, resumed, swept, reported.
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from forked import killed
from own_project import SMALL, project, refused, rows
from resnet_lab.cli import main
from resnet_lab.config.identity import identity
from resnet_lab.config.request import compose
from resnet_lab.models.stored import checkpoints_in
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder

CODE = """
import random

import torch
import torch.nn.functional as F
from lightning import LightningDataModule, LightningModule
from torch.utils.data import DataLoader

from resnet_lab.training import Classifier


class Fgsm(Classifier):
    def __init__(self, *given, epsilon=0.1, **more):
        super().__init__(*given, **more)
        self.epsilon = epsilon

    def training_loss(self, images, targets):
        scores = self(images)
        images = images.clone().requires_grad_()
        (slope,) = torch.autograd.grad(F.cross_entropy(self(images), targets), images)
        return F.cross_entropy(self(images.detach() + self.epsilon * slope.sign()), targets), scores


class Sure(Classifier):
    def measure(self, scores, targets):
        return {"certainty": scores.softmax(1).amax(1)}


class Scores(Classifier):
    def training_loss(self, images, targets):
        return self(images), self(images)


class Rotations(LightningModule):
    def __init__(self, net, lr=0.05):
        super().__init__()
        self.net, self.lr = net, lr

    def right(self, batch):
        turns = torch.arange(len(batch[0])) % 4
        images = torch.stack([torch.rot90(i, int(t), (1, 2)) for i, t in zip(batch[0], turns)])
        scores = self.net(images + 0.1 * random.random() * torch.randn_like(images))[:, :4]
        return F.cross_entropy(scores, turns), 100 * (scores.argmax(1) == turns).float().mean()

    def training_step(self, batch, batch_idx):
        loss, right = self.right(batch)
        self.log_dict({"train/loss": loss, "train/turned": right}, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val/turned", self.right(batch)[1])

    def test_step(self, batch, batch_idx):
        self.log("test/turned", self.right(batch)[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), self.lr, 0.9)


class Views(LightningDataModule):  # two views of an image without a label, as a dictionary
    def loader(self, count):
        views = [{"one": torch.full((1, 8, 8), i / count), "two": torch.rand(1, 8, 8)} for i in range(count)]
        return DataLoader(views, 32, shuffle=count > 40)

    def train_dataloader(self): return self.loader(96)
    def val_dataloader(self): return self.loader(40)
    def test_dataloader(self): return self.loader(40)


class Alike(LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def apart(self, batch):
        return (self.net(batch["one"]) - self.net(batch["two"])).square().mean()

    def training_step(self, batch, batch_idx):
        return self.apart(batch)

    def validation_step(self, batch, batch_idx):
        self.log("val/apart", self.apart(batch))

    def test_step(self, batch, batch_idx):
        self.log("test/apart", self.apart(batch))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 1e-4)


class Untested(LightningModule):
    def training_step(self, batch, batch_idx): ...
    def configure_optimizers(self): ...
"""
TURNED = ["objective={metric: test/turned, mode: max}"]
WITHOUT_DATA = [each for each in SMALL if not each.startswith("data.")]
VIEWS = ["data=views"]
MODULES = {
    "training_loss": ["module={_target_: my_modules.Fgsm, args: {epsilon: 0.2}}"],
    "measure": ["module._target_=my_modules.Sure", "objective={metric: test/certainty, mode: max}"],
    "any module": ["module._target_=my_modules.Rotations", *TURNED],
    "any batches": [*VIEWS, "module._target_=my_modules.Alike", "objective.metric=test/apart"],
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with project(tmp_path, monkeypatch, {"my_modules": CODE}) as path:
        (path / "configs/data").mkdir(parents=True)
        (path / "configs/data/views.yaml").write_text(
            "defaults: [own_schema, _self_]\n_target_: my_modules.Views\nclasses: 4\n"
        )
        yield path


@pytest.mark.parametrize("kind", MODULES)
def test_a_run_is_killed_and_ends_as_the_run_that_was_not(kind: str) -> None:
    asked = [*(WITHOUT_DATA if kind == "any batches" else SMALL), *MODULES[kind]]
    whole = RunFolder.create(compose([*asked, "name=whole"]))
    record = execute(whole.path)
    assert record.error is None
    assert "is nan" not in whole.log_file.read_text()
    objective = whole.config().objective
    assert record.objective["metric"] == objective.metric
    assert objective.metric in record.last
    assert set(record.best) == {objective.validated, "epoch"}
    run = RunFolder.create(compose(asked))
    killed(run, "after", 4)  # within the second epoch
    resumed = execute(run.path)
    assert resumed.resumes == 1
    assert {k: v for k, v in resumed.last.items() if k.startswith("test/")} == {
        k: v for k, v in record.last.items() if k.startswith("test/")
    }
    last, other = (
        torch.load(checkpoints_in(each.checkpoints)[0], weights_only=True)["state_dict"]
        for each in (run, whole)
    )
    assert last.keys() == other.keys()
    assert all(torch.equal(last[name], other[name]) for name in last)
    assert rows(run) == rows(whole)


def test_arguments_are_swept_and_the_code_is_part_of_the_identity(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [*SMALL, "recipe.epochs=1", *MODULES["any module"], "module.args.lr=0.01,0.1", "name=turned"]
    assert main(["train", "-m", *asked]) == 0
    records = [json.loads(path.read_text()) for path in Path("runs/turned").glob("*/record.json")]
    assert sorted(record["config"]["module"]["args"]["lr"] for record in records) == [0.01, 0.1]
    assert all("test/turned" in record["last"] for record in records)
    assert main(["report", "runs/turned"]) == 0
    with (Path("runs/turned") / "runs.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 2
    before = identity(compose([*SMALL, *MODULES["any module"]]))
    assert identity(compose(SMALL)) != before
    code = folder / "my_modules.py"
    code.write_text(f"{code.read_text()}\nmore = 1\n")
    assert identity(compose([*SMALL, *MODULES["any module"]])) != before


MISTAKES = {
    "no module": (["module._target_=math.sqrt"], "module._target_=math.sqrt"),
    "not there": (["module._target_=my_modules.Fgms"], "did you mean my_modules.Fgsm?"),
    "no test": (["module._target_=my_modules.Untested"], "has no test_step"),
    "unknown argument": (
        ["module={_target_: my_modules.Fgsm, args: {eps: 1}}"],
        "unexpected keyword argument 'eps'",
    ),
    "no loss": (["module._target_=my_modules.Scores"], "Scores.training_loss gives (2, 10)"),
    "unknown key": (["module={_target_: my_modules.Fgsm, epsilon: 1}"], "epsilon"),
    "recipe": ([*MODULES["any module"], "recipe.lr=0.5"], "recipe.lr=0.5 has no effect here"),
    "batches": (VIEWS, "batches of views are not (images, labels)"),
    "logger": (["logger.extra={none: {_target_: torch.nn.ReLU}}"], "logger.extra.none gives ReLU"),
    "mode": ([*MODULES["any module"], "objective.mode=most"], "objective.mode"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_before_anything_is_written(
    mistake: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asked, told = MISTAKES[mistake]
    assert told in refused([*(WITHOUT_DATA if asked == VIEWS else SMALL), *asked], capsys)
