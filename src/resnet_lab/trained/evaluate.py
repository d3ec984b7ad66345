"""Testing trained nets again: under another protocol, on other data, or several together."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from resnet_lab import data as data_sets
from resnet_lab.config.compose import compose
from resnet_lab.config.precision import PRECISIONS
from resnet_lab.data.spec import DataConfig, ImageFolderConfig
from resnet_lab.errors import UserError
from resnet_lab.models.checks import check
from resnet_lab.trained import source as nets
from resnet_lab.training.evaluation import Ensemble
from resnet_lab.training.evaluation import evaluate as test
from resnet_lab.training.protocols import protocol
from resnet_lab.training.recipes import loader_batch_size

BATCH = 64  # images, where no run says what fits


def evaluate(
    runs: Sequence[Path],
    models: Sequence[str],
    weights: Sequence[str],
    how: str | None = None,
    overrides: Sequence[str] = (),
) -> int:
    """Print loss and top-1 and top-5 error (per cent) of each net, and of all together; returns 0.

    Nets are run folders and named `models`, each with its `weights`; `how` is a protocol, None that of the first
    run, or a single view. With runs the data are theirs, changed by `overrides` such as data.root=…; without, the
    overrides name them. Raises UserError for what does not go together.
    """
    if len(models) != len(weights):
        raise UserError(f"{len(models)} --model and {len(weights)} --weights: each net needs its own")
    if not runs and not models:
        raise UserError("name what to evaluate: --run RUN_DIR, or --model NAME --weights WEIGHTS")
    trained = [*map(nets.of_run, runs), *map(nets.of_name, models, weights)]
    first = trained[0].run
    config = _data(first.data, overrides) if first else compose([*overrides]).data
    for each in trained:
        if each.run and each.run.data.name != config.name:
            raise UserError(f"{each.name} was trained on {each.run.data.name}, not on {config.name}")

    batch = loader_batch_size(first.recipe) if first else BATCH
    data = data_sets.build(config, batch_size=batch, drop_last=False, seed=0)
    for each in trained:
        check(each.model, data.info.height, data.info.width)
    data.setup("test")
    chosen = protocol(how or (first.protocol if first else "single_view"), crop=data.info.height)
    loaders: list[Any] = [data.test_views(scale.resize, scale.crop) for scale in chosen.scales]

    rows = {each.name: each.net for each in trained}
    if len(rows) < len(trained):
        raise UserError("the same net is named twice: an ensemble is of different ones")
    if len(trained) > 1:
        rows[f"ensemble of {len(trained)}"] = Ensemble([each.net for each in trained])
    table = Table(box=None, title=f"{config.name}, {chosen.name}", title_justify="left")
    table.add_column("net", no_wrap=True)
    for column in ("top-1 error (%)", "top-5 error (%)", "loss", "images"):
        table.add_column(column, justify="right")
    place = nets.device()
    for name, net in rows.items():
        watched = [_watched(loaders[0], name), *loaders[1:]]
        with _precision(first.precision if first else "32", place):
            rates = test(net, watched, chosen, place)
        numbers = (f"{rates['error']:.2f}", f"{rates['top5_error']:.2f}", f"{rates['loss']:.4f}")
        table.add_row(name, *numbers, f"{rates['images']:.0f}")
    console = Console(highlight=False)
    (console if console.is_terminal else Console(highlight=False, width=140)).print(table)
    return 0


def _data(config: DataConfig, overrides: Sequence[str]) -> DataConfig:
    """The run's data with other keys, as data.root=…; UserError for one that is not of the data."""
    for text in overrides:
        if not text.startswith("data."):
            raise UserError(f"{text}: with --run only data.… can be changed, as data.root=FOLDER")
    changes = OmegaConf.from_dotlist([text.removeprefix("data.") for text in overrides])
    try:
        merged = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(config), changes))
    except OmegaConfBaseException as error:
        raise UserError(f"data.{error.full_key}: {str(error).splitlines()[0]}") from None
    assert isinstance(merged, DataConfig)
    if "root" in changes and isinstance(merged, ImageFolderConfig):
        merged.fingerprint = changes.get("fingerprint")  # other images on purpose
    return merged


def _watched(loader: Any, name: str) -> Iterable[Any]:
    """With a progress bar on a terminal."""
    return tqdm(loader, desc=name, unit="batches", disable=None, leave=False)


def _precision(name: str, place: torch.device) -> AbstractContextManager[Any]:
    narrow = PRECISIONS[name].autocast
    return torch.autocast(place.type, getattr(torch, narrow)) if narrow else nullcontext()
