"""The runs of every experiment, before they are trained. `python tests/helpers/experiments.py` renews the golden files.

A changed line there renames the folders of runs that exist, or changes what `train --cfg` says: make it knowingly, and
review it as a part of the change.
"""

import contextlib
import csv
import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from resnet_lab.config.groups import config_dir, groups
from resnet_lab.config.identity import path_of
from resnet_lab.sweeps.printed import print_configurations
from swept import configurations

RUNS = Path(__file__).with_name("golden_runs.csv")
TEXTS = Path(__file__).with_name("golden_texts.csv")
EXPERIMENTS = sorted(
    path.relative_to(config_dir() / "experiment").with_suffix("").as_posix()
    for path in (config_dir() / "experiment").rglob("*.yaml")
)
OF_A_FOLDER = ("cifar10_depth", "cifar10_jpeg", "finetune")  # these ask for data.root
IMAGES = "images"  # below the working folder


def write_images() -> None:
    """Write two classes of uncompressed images, the same with every version of Pillow, and enough for a batch."""
    for name in ("cat", "dog"):
        for part, count in (("train", 256), ("val", 4)):
            folder = Path(IMAGES, part, name)
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                Image.new("RGB", (32, 32), (number, 0, 0)).save(folder / f"{number}.bmp")


def overrides_of(experiment: str) -> list[str]:
    root = [f"data.root={IMAGES}"] if experiment in OF_A_FOLDER else []
    return [f"experiment={experiment}", *root]


def runs_of(experiment: str) -> Iterator[tuple[str, str, str]]:
    """Yield the experiment, the label and the folder of each of its runs, whose last word is its identity."""
    for config in configurations(overrides_of(experiment), planned=True):
        yield experiment, config.model.label, path_of(config).as_posix()


def text_of(experiment: str, *, multirun: bool) -> str:
    """Return a digest of what `train --cfg` prints of an experiment, or `train -m --cfg` of each of its runs."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        print_configurations(overrides_of(experiment), multirun=multirun)
    return hashlib.sha256(printed.getvalue().encode()).hexdigest()[:16]


def texts_of(experiment: str) -> tuple[str, ...]:
    return (experiment, *(text_of(experiment, multirun=multirun) for multirun in (False, True)))


def known(file: Path, experiment: str) -> list[tuple[str, ...]]:
    """Return the lines of a golden file that are of an experiment."""
    with file.open(newline="") as lines:
        return [tuple(line) for line in csv.reader(lines) if line[0] == experiment]


def _write(file: Path, lines: Iterator[tuple[str, ...]]) -> None:
    with file.open("w", newline="") as opened:
        csv.writer(opened, lineterminator="\n").writerows(lines)


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        assert sorted(groups()["experiment"]) == EXPERIMENTS
        write_images()
        _write(RUNS, (run for experiment in EXPERIMENTS for run in runs_of(experiment)))
        _write(TEXTS, map(texts_of, EXPERIMENTS))
