"""Further metrics by name: what torchmetrics gives over all images at once, on any number of devices."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional import classification as theirs

import toy_training as toy
from forked import in_a_process_of_its_own
from resnet_lab.errors import UserError
from resnet_lab.training.callbacks import COLUMNS, History
from resnet_lab.training.csv_file import CsvFile
from resnet_lab.training.evaluation import evaluate
from resnet_lab.training.metrics import Metrics
from resnet_lab.training.protocols import Protocol, ScaledImages

NAMES = ("ant", "bee", "cat", "dog", "eel", "fox")
KIND = "torchmetrics.classification.Multiclass"
CHOSEN: dict[str, Any] = {
    "accuracy": {"_target_": f"{KIND}Accuracy", "average": "none"},
    "f1": {"_target_": "torchmetrics.F1Score", "average": "macro"},  # which takes a task
    "calibration_error": {"_target_": f"{KIND}CalibrationError", "n_bins": 15},
    "auroc": {"_target_": f"{KIND}AUROC"},  # which keeps every output
}
CPU = torch.device("cpu")


def at_once(probabilities: Tensor, labels: Tensor) -> dict[str, float]:
    """The same from torchmetrics' functions, over all images."""
    classes = len(NAMES)
    each = theirs.multiclass_accuracy(probabilities, labels, classes, average="none")
    return {
        **{f"accuracy/{name}": float(value) for name, value in zip(NAMES, each, strict=True)},
        "f1": float(theirs.multiclass_f1_score(probabilities, labels, classes)),
        "calibration_error": float(theirs.multiclass_calibration_error(probabilities, labels, classes)),
        "auroc": float(theirs.multiclass_auroc(probabilities, labels, classes)),
    }


def fit(devices: int = 1, *callbacks: Any, **choices: Any) -> Any:
    return toy.fit(
        toy.recipe(batch_size=15, epochs=2),
        *callbacks,
        backbone=toy.net(batch_norm=False),
        train_images=32,
        test_images=33,
        metrics=Metrics(CHOSEN, NAMES),
        devices=devices,
        strategy="ddp_fork" if devices > 1 else "auto",
        **choices,
    )


def test_an_evaluation_gives_what_torchmetrics_gives_over_all_images_at_once() -> None:
    module, trainer = fit()
    images, labels = toy.images(33, seed=1)
    with torch.no_grad():
        expected = at_once(module.eval()(images).softmax(1), labels)
    assert list(expected) == list(Metrics(CHOSEN, NAMES).columns)
    for name, value in expected.items():
        assert float(trainer.callback_metrics[f"test/{name}"]) == pytest.approx(value, abs=1e-6), name


@in_a_process_of_its_own
def test_two_devices_give_what_one_gives() -> None:
    (_, alone), (_, shared) = fit(1), fit(2)
    for name in Metrics(CHOSEN, NAMES).columns:
        found, expected = (float(each.callback_metrics[f"test/{name}"]) for each in (shared, alone))
        assert found == pytest.approx(expected, abs=1e-5), name


def test_a_final_test_gives_the_metrics_of_the_mean_over_views() -> None:
    net, (images, labels) = toy.net().eval(), toy.images(20)
    loaders = [[(images[:12], labels[:12]), (images[12:], labels[12:])], [(2 * images[:12], labels[:12])]]
    loaders[1].append((2 * images[12:], labels[12:]))
    found = evaluate(
        net, loaders, Protocol("two", (ScaledImages(), ScaledImages())), CPU, Metrics(CHOSEN, NAMES)
    )
    with torch.no_grad():
        mean = torch.stack([net(scale * images).softmax(1) for scale in (1, 2)]).mean(0)
    assert {name: found[name] for name in at_once(mean, labels)} == pytest.approx(at_once(mean, labels))


def test_training_is_the_same_with_metrics_and_without() -> None:
    plain, _ = toy.fit(
        toy.recipe(batch_size=15, epochs=2), backbone=toy.net(batch_norm=False), train_images=32
    )
    module, _ = fit()
    assert module.state_dict().keys() == plain.state_dict().keys()
    assert torch.equal(toy.weights(module), toy.weights(plain))


def test_history_has_a_column_for_each_class(tmp_path: Path) -> None:
    fit(1, History(tmp_path / "history.csv", Metrics(CHOSEN, NAMES).columns))
    rows = toy.read(tmp_path / "history.csv")
    assert [float(row["test/accuracy/cat"]) >= 0 for row in rows] == [True, True]
    assert [row["val/f1"] for row in rows] == ["", ""]  # no images were set aside


def test_a_wider_net_counts_the_classes_of_its_data() -> None:
    metrics = Metrics(CHOSEN, NAMES[:2], outputs=5)
    assert metrics.columns == ("accuracy/ant", "accuracy/bee", "f1", "calibration_error", "auroc")
    metrics.start(CPU)
    metrics.add(torch.eye(5)[[0, 1, 4]], torch.tensor([0, 1, 1]))
    assert metrics.computed()["accuracy/bee"] == 0.5


def test_a_history_that_was_begun_without_a_metric_goes_on_with_it(tmp_path: Path) -> None:
    before = CsvFile(tmp_path / "history.csv", COLUMNS)
    before.append([{"epoch": 1, "test/error": 50}])
    after = CsvFile(tmp_path / "history.csv", [*COLUMNS, "test/f1"])
    after.restore(before.state(), 4, write=True)
    after.append([{"epoch": 2, "test/error": 40, "test/f1": 0.5}])
    with (tmp_path / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["epoch"], row["test/error"], row["test/f1"]) for row in rows] == [
        ("1", "50", ""),
        ("2", "40", "0.5"),
    ]


class Failing(Metric):
    def update(self, probabilities: Tensor, labels: Tensor) -> None:
        raise KeyError("no such\nthing")

    def compute(self) -> Tensor:
        return torch.tensor(0.0)


class Words(Metric):
    def update(self, probabilities: Tensor, labels: Tensor) -> None:
        pass

    def compute(self) -> str:
        return "words"


MISTAKES = {
    "no mapping": (3, "metrics.x=3: {_target_: a.dotted.Path"),
    "no target": ({"average": "macro"}, "{_target_: a.dotted.Path"),
    "a name that is misspelt": ({"_target_": "torchmetrics.F1Scor"}, "did you mean torchmetrics.F1Score"),
    "an argument that is misspelt": ({"_target_": f"{KIND}F1Score", "avrage": "macro"}, "`avrage`"),
    "a value that is refused": ({"_target_": f"{KIND}F1Score", "average": "all"}, "average"),
    "no metric": ({"_target_": "torch.nn.Identity"}, "metrics.x gives Identity: a torchmetrics Metric"),
    "of other outputs": ({"_target_": "torchmetrics.MeanSquaredError"}, "metrics.x fails: RuntimeError"),
    "a matrix": ({"_target_": "torchmetrics.ConfusionMatrix"}, "metrics.x gives (6, 6): a number"),
    "an error of its own": ({"_target_": f"{__name__}.Failing"}, "metrics.x fails: KeyError: 'no such"),
    "words": ({"_target_": f"{__name__}.Words"}, "metrics.x gives str: a number"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_in_one_line_that_names_the_metric(mistake: str) -> None:
    spec, told = MISTAKES[mistake]
    with pytest.raises(UserError) as error:
        Metrics({"x": spec}, NAMES)
    assert told in str(error.value)
    assert "metrics.x" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["loss", "top5_error", "a/b", "two words", ""])
def test_a_name_that_is_no_column_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="a name of letters"):
        Metrics({name: {"_target_": f"{KIND}F1Score"}}, NAMES)
