"""Testing trained nets again: under another protocol, on other data, or several together."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from tqdm import tqdm

from resnet_lab import data as data_sets
from resnet_lab.config.compose import compose
from resnet_lab.config.targets import sources_of
from resnet_lab.data.module import DataModule
from resnet_lab.data.spec import FOLDERS, DataConfig, DataInfo, ImageFolderConfig, SmallImagesConfig
from resnet_lab.errors import UserError, printable
from resnet_lab.models.made import check
from resnet_lab.reference import imagenet_classes
from resnet_lab.trained import measured, views
from resnet_lab.trained import source as nets
from resnet_lab.trained.classes import Match, match
from resnet_lab.trained.details import Details, Wanted
from resnet_lab.trained.given import Given
from resnet_lab.trained.keys import (
    NORMALISATION,
    changed_data,
    model_choices,
    of_group,
    refuse_others,
    refuse_unread_data,
)
from resnet_lab.trained.seen import names, refuse_unread
from resnet_lab.training.answering import Answering
from resnet_lab.training.evaluation import Ensemble
from resnet_lab.training.evaluation import evaluate as test
from resnet_lab.training.metrics import Metrics
from resnet_lab.training.protocols import Protocol, protocol
from resnet_lab.training.recipes import loader_batch_size

BATCH = 64  # images, where no run says what fits
PIPED_WIDTH = 1000  # columns where nobody looks: lines stay whole for grep and files


@dataclass(frozen=True)
class Row:
    """What is tested: a net, or several together."""

    name: str
    net: nn.Module
    match: Match
    metrics: Metrics | None


def evaluate(
    runs: Sequence[Path],
    models: Sequence[str],
    weights: Sequence[str],
    how: str | None = None,
    overrides: Sequence[str] = (),
    given: Given | None = None,
    details: Wanted | None = None,
    *,
    trust: bool = False,
) -> int:
    """Print loss, top-1 and top-5 error (per cent) and metrics of each net, and of all together; returns 0.

    Nets are run folders or exported files (`runs`), and named `models`, each with its `weights`, of which `given`
    tells what the weights do not; `how` is a protocol, None that of the first run, or a single view. With runs the
    data and metrics are the first one's, changed by `overrides` such as data.root=… or replaced, as by data=cifar10;
    without, the overrides name them. With `details` what each net answers to each image is written, and how far several
    agree; with `trust` runs and files may name any code. Raises UserError for what does not go together, before weights
    or images are read.
    """
    given = given or Given()
    trained = _named(runs, models, weights, overrides, trust=trust)
    refuse_unread(given, trained)
    chosen = [text.partition("=")[0].removeprefix("data.") for text in of_group("data", overrides)]
    first = next((net.run for net in trained if net.run), None)
    how = how or (first.protocol if first else "single_view")
    config = views.as_seen(_data(trained, given, of_group("data", overrides), how), trained, given, chosen)
    facts = data_sets.info(config)
    way = protocol(how, crop=facts.height)
    for net in trained:
        check(net.model, (facts.channels, facts.height, facts.width))
        views.check_fits(net, given, config, facts, way)
    matches = [_match(net, given, config, facts) for net in trained]
    _check_together(trained, matches)
    metrics = measured.chosen(first, of_group("metrics", overrides))
    measures = [measured.of_net(metrics, found, facts.class_names) for found in matches]
    told = Details.of(details.out, trained, config, way) if details else None

    data = data_sets.build(
        config, batch_size=loader_batch_size(first.recipe) if first else BATCH, drop_last=False, seed=0
    )
    data.setup("test")
    of_data = any(key in chosen for key in NORMALISATION)
    rows = []
    notes = [net.note for net in trained]
    for net, found, measure in zip(trained, matches, measures, strict=True):
        own, assumed = views.own_preprocessing(net, given, config, data.preprocessing(), of_data=of_data)
        notes.append(assumed)
        precision = net.run.precision if net.run else "32"
        module = views.AsTrained(net.load(), of_data=data.preprocessing(), of_net=own, precision=precision)
        rows.append(Row(_row_name(net, trained), module, found, measure))
    if len(trained) > 1:
        together = Ensemble([row.net for row in rows])
        rows.append(Row(f"ensemble of {len(trained)}", together, matches[0], measures[0]))
    _print(config, data, way, rows, [note for note in notes if note], told)
    return 0


def _named(
    runs: Sequence[Path],
    models: Sequence[str],
    weights: Sequence[str],
    overrides: Sequence[str],
    *,
    trust: bool,
) -> list[nets.Trained]:
    if len(models) != len(weights):
        raise UserError(f"{len(models)} --model and {len(weights)} --weights: each net needs its own")
    if not runs and not models:
        raise UserError("name what to evaluate: --run RUN_DIR, or --model NAME --weights WEIGHTS")
    refuse_others("evaluate", overrides, "model", "metrics", "data")
    choices = model_choices(of_group("model", overrides))
    if choices and not models:
        raise UserError(f"{of_group('model', overrides)[0]}: a run knows its net; model.… goes with --model")
    trained = [
        *(nets.of_itself(run, trust=trust) for run in runs),
        *(nets.of_name(name, file, choices, trust=trust) for name, file in zip(models, weights, strict=True)),
    ]
    paths = [(net.name, net.path.resolve() if net.path else None) for net in trained]
    twice = next((name for name, path in paths if paths.count((name, path)) > 1), None)
    if twice is not None:
        raise UserError(f"{twice} is named twice: an ensemble is of different nets")
    return trained


def _data(trained: Sequence[nets.Trained], given: Given, overrides: list[str], how: str) -> DataConfig:
    """The data that the overrides name, or those of the first run with the overrides' changes."""
    unsaid = any(views.untold(net, given, of_data=False) for net in trained)
    refuse_unread_data(overrides, normalisation=unsaid, how=how)
    first = next((net.run for net in trained if net.run), None)
    if first is None or any(text.startswith("data=") for text in overrides):
        if not any(text.startswith("data=") for text in overrides):
            raise UserError("name the images: data=cifar10, or data=imagenet data.root=FOLDER")
        return compose(overrides, trains=False).data
    changed = changed_data(first.data, overrides)
    sources_of(changed, "data.")  # nothing is called that may not be
    return changed


def _match(net: nets.Trained, given: Given, config: DataConfig, facts: DataInfo) -> Match:
    if net.seen is None and net.run is not None and net.run.data != config:
        raise UserError(
            f"{net.path} does not name its classes yet: finish the run, or test it on its own data"
        )
    if net.seen is None and net.run is not None:
        known = facts.class_names
    else:
        known = (net.seen.class_names if net.seen else ()) or names(net, given)
    ordered = isinstance(config, SmallImagesConfig)
    return match(known, net.outputs, facts.class_names, net.name, ordered=ordered)


def _check_together(trained: Sequence[nets.Trained], matches: Sequence[Match]) -> None:
    """The outputs of an ensemble are averaged: they must mean the same."""
    for net, found in zip(trained, matches, strict=True):
        if (found.outputs, found.of) != (matches[0].outputs, matches[0].of):
            raise UserError(
                f"{trained[0].name} and {net.name} have other classes, or in another order: test each alone"
            )


def _row_name(net: nets.Trained, trained: Sequence[nets.Trained]) -> str:
    """Its name; where another has the same, the place that tells them apart."""
    alone = sum(other.name == net.name for other in trained) == 1
    return net.name if alone else str(net.path)


class _Labelled:
    """Batches whose labels are the net's outputs."""

    def __init__(self, loader: Any, outputs: Sequence[int]) -> None:
        self.loader, self.outputs = loader, torch.tensor(outputs)

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        for images, labels in self.loader:
            yield images, self.outputs.to(labels.device)[labels]


def _print(
    config: DataConfig,
    data: DataModule,
    way: Protocol,
    rows: Sequence[Row],
    notes: Sequence[str],
    details: Details | None,
) -> None:
    table = Table(box=None, title=f"{config.name}, {way.name}", title_justify="left")
    table.add_column("net", overflow="fold")
    for column in ("top-1 error (%)", "top-5 error (%)", "loss", "images"):
        table.add_column(column, justify="right")
    tested = {row.name: _tested(row, data, way, details) for row in rows}
    images = 0
    for name, rates in tested.items():
        images = round(rates["images"])
        numbers = (f"{rates['error']:.2f}", f"{rates['top5_error']:.2f}", f"{rates['loss']:.4f}")
        table.add_row(printable(name), *numbers, f"{images}")
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(highlight=False, width=PIPED_WIDTH)
    for line in (*notes, f"tested {_share(config, data, images)}; {rows[0].match}"):
        console.print(printable(line), markup=False, soft_wrap=True)
    console.print(table)
    if rows[0].metrics:
        console.print(_further(rows[0].metrics.columns, tested))
    if details:
        details.close(console)


def _tested(row: Row, data: DataModule, way: Protocol, details: Details | None) -> dict[str, float]:
    loaders: list[Any] = [
        _Labelled(data.test_views(scale.resize, scale.crop), row.match.outputs) for scale in way.scales
    ]
    first, seen = loaders[0].loader, data.preprocessing()
    answering = Answering(seen.mean, seen.std) if details else None
    # With a progress bar on a terminal.
    loaders[0] = tqdm(loaders[0], desc=row.name, unit="batches", disable=None, leave=False)
    rates = test(row.net, loaders, way, nets.device(), row.metrics, answering)
    if details and answering:
        details.take(row.name, answering, data, first, row.match)
    return rates


def _further(columns: Sequence[str], tested: dict[str, dict[str, float]]) -> Table:
    """A line for each further metric, and for each class of one that is of classes; without those of no image here."""
    table = Table("metric", box=None)
    for name in tested:
        table.add_column(printable(name), justify="right", overflow="fold")
    for column in columns:
        if not column.endswith("/"):
            values = [rates.get(column, math.nan) for rates in tested.values()]
            table.add_row(
                printable(column), *("–" if math.isnan(value) else f"{value:.4f}" for value in values)
            )
    return table


def _share(config: DataConfig, data: DataModule, images: int) -> str:
    """How many images were tested, and of how many: 300 of 50,000 images."""
    there = data.test_images_there
    if isinstance(config, ImageFolderConfig) and {*data.info.class_names} == {
        row["id"] for row in imagenet_classes()
    }:
        there = max(there, data_sets.IMAGENET_TEST_IMAGES)
    said = f"all {images:,} images" if images == there else f"{images:,} of {there:,} images"
    if isinstance(config, FOLDERS) and data.tests_a_share:
        said += f" (data.test_share={config.test_share:g} of a folder without test images of its own)"
    return said
