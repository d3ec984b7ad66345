"""Draw contact sheets of what a network is trained and tested on."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from resnet_lab.data import build
from resnet_lab.data.order import EvalOrder
from resnet_lab.data.spec import DataConfig
from resnet_lab.errors import UserError, printable
from resnet_lab.files import expanded

ROWS, COLUMNS = 6, 8


def show(config: DataConfig, out: Path | None = None, *, seed: int = 0) -> list[Path]:
    """Write NAME-train.png, of augmented images, and NAME-test.png into `out` (None: here); return the paths.

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
    ):  # every nth image, as one of n devices: a set may be sorted by class
        test.order = replace(test.order, world=max(data.sizes["test"] // (ROWS * COLUMNS), 1))
    folder = Path() if out is None else expanded(out)
    paths = []
    sheets = (("train", train, "training images, augmented"), ("test", test, "test images"))
    for name, batches, title in sheets:
        few, labels = zip(*islice(batches, ROWS * COLUMNS), strict=True)
        images = torch.cat(few)[: ROWS * COLUMNS]
        # Values of 0 to 1, (N, H, W, C).
        shown = (images.cpu() * preprocessing.std + preprocessing.mean).clamp(0, 1).permute(0, 2, 3, 1)
        figure = _sheet(shown, [data.info.class_names[label] for label in torch.cat(labels).tolist()])
        figure.suptitle(f"{config.name}: {title}")
        path = folder / f"{config.name}-{name}.png"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, dpi=100)
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}") from None
        paths.append(path)
    return paths


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
