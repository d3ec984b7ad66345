"""The golden loss curve, which a neutral change leaves as it is. `python tests/training/golden.py` renews it."""

import csv
from pathlib import Path

import torch

import toy_training as toy
from resnet_lab.training.callbacks import History

PATH = Path(__file__).with_name("golden_loss.csv")
COLUMNS = ("epoch", "iteration", "lr", "train/loss", "train/error", "test/loss", "test/error")


def curve(folder: Path) -> list[dict[str, str]]:
    """The history of one tiny run that takes a part in most of what a recipe can ask for."""
    torch.set_num_threads(1)
    recipe = toy.recipe(epochs=5, schedule="one_cycle", nesterov=True, label_smoothing=0.1, clip=5.0)
    toy.fit(recipe, History(folder / "history.csv"), backbone=toy.net(dropout=0.1))
    return [{name: row[name] for name in COLUMNS} for row in toy.read(folder / "history.csv")]


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder, PATH.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(curve(Path(folder)))
    print(PATH.read_text(), end="")
