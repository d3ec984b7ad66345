"""Cross-validation: each image of training is tested in one fold, the classes in proportion; folds are replicas."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from folders import config, make
from resnet_lab.cli import main
from resnet_lab.data import build, info
from resnet_lab.data.spec import DataConfig, SmallFolderConfig, SmallImagesConfig
from resnet_lab.errors import UserError

KINDS: dict[str, Callable[[str], DataConfig]] = {
    "digits": lambda _: SmallImagesConfig(name="digits", pad=1, flip=False),
    "image_folder": config,
    "small_folder": lambda root: SmallFolderConfig(name="small_folder", root=root),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_training_image_is_tested_in_one_fold_and_trained_on_in_the_others(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    whole = KINDS[kind](str(make(tmp_path / "images", images=11)))
    tested, every = [], info(whole).training
    for fold in range(4):
        folded = replace(whole, fold=fold, folds=4)
        data = build(folded, batch_size=5, drop_last=False, seed=fold)
        data.setup()
        part, chosen = data.images.chosen["test"]
        assert part == "train"
        trained = data.images.chosen["train"][1]
        assert torch.cat([trained, chosen]).sort().values.tolist() == list(range(every))
        assert info(folded).training == every - len(chosen) == data.sizes["train"]
        labels = data.images.labels["train"]
        assert (labels[chosen].bincount() * 4 - labels.bincount()).abs().max() <= 4
        tested += chosen.tolist()
    assert sorted(tested) == list(range(every))


def test_a_fold_that_is_not_there_is_refused() -> None:
    with pytest.raises(UserError, match=r"data\.fold=5: allowed are 0 to 4"):
        info(SmallImagesConfig(name="digits", pad=1, fold=5))


@pytest.mark.slow
def test_a_report_takes_folds_for_replicas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = ["data=digits", "data.folds=3", "data.fold=0,1,2", "seed=0,1", "recipe=digits", "name=folds"]
    small = [
        "model=cifar_resnet",
        "model.depth=8",
        "model.width=4",
        "recipe.epochs=1",
        "trainer.progress=false",
    ]
    assert main(["train", "-m", *sweep, *small]) == 0
    capsys.readouterr()
    assert main(["report", "runs/folds"]) == 0
    with (tmp_path / "runs/folds/table.csv").open() as file:
        [row] = csv.DictReader(file)
    assert row["n"] == "6"
