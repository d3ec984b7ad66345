"""Contact sheets: what the net is trained and tested on, as pictures."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from resnet_lab.data import build
from resnet_lab.data.order import Batch, EvalOrder
from resnet_lab.data.preprocessing import Preprocessing
from resnet_lab.data.spec import DataConfig
from resnet_lab.errors import UserError, printable
from resnet_lab.files import expanded

ROWS, COLUMNS = 6, 8


def show(config: DataConfig, out: Path | None = None, *, seed: int = 0) -> list[Path]:
    """Writes NAME-train.png, of augmented images, and NAME-test.png into `out` (None: here); returns the paths.

    Raises UserError where the data or the folder will not do.
    """
    config = config.by_channel()  # a mean that differs from pixel to pixel cannot be added again to a crop
    data = build(config, batch_size=1, drop_last=False, seed=seed)
    if data.info.own_batches:
        raise UserError(f"batches of {config.name} are not (images, labels): there is nothing to show")
    data.setup("fit")
    preprocessing = data.preprocessing()
    train, test = data.train_dataloader(), data.test_dataloader()
    if isinstance(
        test.order, EvalOrder
    ):  # every nth image, as one of n devices has them: a set may be sorted by class
        test.order = replace(test.order, world=max(data.sizes["test"] // (ROWS * COLUMNS), 1))
    folder = Path() if out is None else expanded(out)
    paths = []
    for name, batches, title in (
        ("train", train, "training images, augmented"),
        ("test", test, "test images"),
    ):
        images, labels = _first(batches, ROWS * COLUMNS)
        figure = _sheet(_visible(images, preprocessing), [data.info.class_names[label] for label in labels])
        figure.suptitle(f"{config.name}: {title}")
        path = folder / f"{config.name}-{name}.png"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, dpi=100)
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}") from None
        paths.append(path)
    return paths


def _first(batches: Iterable[Batch], count: int) -> tuple[Tensor, list[int]]:
    """Images (N, C, H, W) and labels of the first batches, at most `count`."""
    images, labels = zip(*islice(batches, count), strict=True)
    return torch.cat(images)[:count], torch.cat(labels)[:count].tolist()


def _visible(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Normalised images (N, C, H, W) as values of 0 to 1, (N, H, W, C)."""
    return (images.cpu() * preprocessing.std + preprocessing.mean).clamp(0, 1).permute(0, 2, 3, 1)


def _sheet(images: Tensor, names: list[str]) -> Figure:
    figure = Figure(figsize=(1.25 * COLUMNS, 1.5 * ROWS), layout="constrained")
    axes = figure.subplots(ROWS, COLUMNS).flatten()
    for axis in axes:
        axis.axis("off")
    for axis, image, name in zip(axes, images, names, strict=False):
        # The set's own pixels, and one grey scale for all: neither smoothed nor stretched.
        axis.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        name = printable(name)
        axis.set_title(name if len(name) <= 18 else f"{name[:17]}…", fontsize=7, pad=2, parse_math=False)
    return figure
