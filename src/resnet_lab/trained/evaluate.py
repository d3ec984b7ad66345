"""Testing trained nets again: under another protocol, on other data, or several together."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from tqdm import tqdm

from resnet_lab import data as data_sets
from resnet_lab.data.datamodule import DataModule
from resnet_lab.data.spec import DataConfig
from resnet_lab.errors import UserError, printable
from resnet_lab.reference import imagenet_classes
from resnet_lab.trained import views
from resnet_lab.trained.classes import Match
from resnet_lab.trained.details import Details
from resnet_lab.trained.keys import Pairs, Values
from resnet_lab.trained.network import Trained, device
from resnet_lab.trained.own_task import is_own_task, measured_by_itself
from resnet_lab.trained.seen import Given, refuse_unread
from resnet_lab.training.answering import Answering
from resnet_lab.training.evaluation import Ensemble
from resnet_lab.training.evaluation import evaluate as test
from resnet_lab.training.metrics import Metrics
from resnet_lab.training.protocols import Protocol, ScaledImages, protocol
from resnet_lab.training.recipes import loader_batch_size

BATCH = 64  # images, where no run says what fits
PIPED_WIDTH = 1000  # columns where nobody looks: lines stay whole for grep and files


@dataclass(frozen=True)
class Evaluation:
    """What a test of networks found."""

    title: str  # the data and the protocol
    # Of each network, and of all together: error, top5_error, loss, images, …
    figures: dict[str, dict[str, float]]
    notes: Sequence[str] = ()  # what was assumed, and how many images were tested
    metrics: Sequence[str] = ()  # the further ones
    details: Details | None = None


@dataclass(frozen=True)
class _Row:
    """What is tested: a net, or several together."""

    name: str
    net: nn.Module
    match: Match
    metrics: Metrics | None


def evaluate(
    trained: Sequence[Trained],
    overrides: Pairs,
    how: str | None = None,
    given: Given | None = None,
    *,
    details: bool = False,
    out: Path | None = None,
) -> Evaluation:
    """Test networks and, where they are several, their ensemble: loss, top-1 and top-5 error (per cent), metrics.

    With runs among them the data and metrics are the first one's, changed by `overrides` such as data.root=… or
    replaced, as by data=cifar10; without, the overrides name them. `how` is a protocol, None that of the first run, or
    a single view; `given` tells what weights from elsewhere do not say. With `details` what each network answers to
    each image is written, to `out` or into the run folders, and how far several agree. Raises UserError for what does
    not go together, before weights or images are read.
    """
    given = given or Given()
    own = next((net for net in trained if is_own_task(net)), None)
    if own is None:
        refuse_unread(given, trained)
    run = own.run if own else next((net.run for net in trained if net.run), None)
    name = how or (run.protocol if run and not own else "single_view")
    known = own is not None or not any(views.untold(net, given, of_data=False) for net in trained)
    config, asked = overrides.data(run, name, all_known=known), overrides.metrics(run)
    if own is not None:
        more = len(trained) > 1 or how or details or given or asked
        return _tested_by_itself(own, config, refused=bool(more))
    config = views.as_seen(config, trained, given, overrides.data_keys)
    facts = data_sets.info(config)
    way = protocol(name, crop=facts.height)
    for net in trained:
        net.model.check((facts.channels, facts.height, facts.width), 1)
        views.check_fits(net, given, config, facts, way)
    matches = [views.matched(net, given, config, facts) for net in trained]
    _check_together(trained, matches)
    metrics = [_metrics(asked, found, facts.class_names) for found in matches]
    written = Details.of(out, trained, config, way) if details else None
    batch = loader_batch_size(run.recipe) if run else BATCH
    data = data_sets.build(config, batch_size=batch, drop_last=False, seed=0)
    data.setup("test")
    seen = data.preprocessing()
    rows, notes = [], [net.note for net in trained]
    for net, found, measures in zip(trained, matches, metrics, strict=True):
        seen_as, assumed = views.own_preprocessing(net, given, config, seen, of_data=overrides.normalisation)
        notes.append(assumed)
        precision = net.run.precision if net.run else "32"
        module = views.AsTrained(net.load(), of_data=seen, of_net=seen_as, precision=precision)
        rows.append(_Row(_row_name(net, trained), module, found, measures))
    if len(rows) > 1:
        together = Ensemble([row.net for row in rows])
        rows.append(_Row(f"ensemble of {len(rows)}", together, matches[0], metrics[0]))
    figures = {row.name: _tested(row, data, way, written) for row in rows}
    notes.append(f"tested {_share(config, data, round(figures[rows[0].name]['images']))}; {matches[0]}")
    columns = metrics[0].columns if metrics[0] else ()
    return Evaluation(
        f"{config.name}, {way.name}", figures, [note for note in notes if note], columns, written
    )


def _tested_by_itself(net: Trained, data: DataConfig, *, refused: bool) -> Evaluation:
    """Let the module of a run test itself. Raises UserError where that is `refused`: more was asked for."""
    assert net.run is not None
    if refused:
        raise UserError(
            f"{net.name} is tested by its own module, {net.run.module._target_}: alone, with keys of data as the only"
            " choices"
        )
    return Evaluation(data.name, {net.name: measured_by_itself(net, partial(data_sets.build, data))})


def show(found: Evaluation) -> None:
    """Print what was found: a line for each network, then the further metrics and where the details lie."""
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(highlight=False, width=PIPED_WIDTH)
    for line in found.notes:
        console.print(printable(line), markup=False, soft_wrap=True)
    own = [rates for rates in found.figures.values() if "top5_error" not in rates]
    if own:
        console.print(_further([name for rates in own for name in rates], found.figures))
        return
    table = Table(box=None, title=found.title, title_justify="left")
    table.add_column("net", overflow="fold")
    for column in ("top-1 error (%)", "top-5 error (%)", "loss", "images"):
        table.add_column(column, justify="right")
    for name, rates in found.figures.items():
        numbers = (f"{rates['error']:.2f}", f"{rates['top5_error']:.2f}", f"{rates['loss']:.4f}")
        table.add_row(printable(name), *numbers, f"{round(rates['images'])}")
    console.print(table)
    if found.metrics:
        console.print(_further(found.metrics, found.figures))
    if found.details:
        found.details.close(console)


def _check_together(trained: Sequence[Trained], matches: Sequence[Match]) -> None:
    """The outputs of an ensemble are averaged: they must mean the same."""
    for net, found in zip(trained, matches, strict=True):
        if (found.outputs, found.of) != (matches[0].outputs, matches[0].of):
            raise UserError(
                f"{trained[0].name} and {net.name} have other classes, or in another order: test each alone"
            )


def _row_name(net: Trained, trained: Sequence[Trained]) -> str:
    """Return the name; where another has the same, the place that tells them apart."""
    alone = sum(other.name == net.name for other in trained) == 1
    return net.name if alone else str(net.path)


class _Labelled:
    """Batches of the test images at one scale, whose labels are the net's outputs."""

    def __init__(self, data: DataModule, scale: ScaledImages, outputs: Sequence[int]) -> None:
        self.loader, self.outputs = data.test_views(scale.resize, scale.crop), torch.tensor(outputs)
        self.tested = partial(data.tested, self.loader)  # places and names of the images, in the order given

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        for images, labels in self.loader:
            yield images, self.outputs.to(labels.device)[labels]


def _metrics(metrics: Values, found: Match, classes: Sequence[str]) -> Metrics | None:
    """Return the metrics of a net, whose outputs `found` gives the data's classes; one that the data lack is "".

    Raises UserError, as Metrics does.
    """
    names = [""] * (max(found.outputs) + 1)
    for output, name in zip(found.outputs, classes, strict=True):
        names[output] = name
    return Metrics(metrics, names, found.of) if metrics else None


def _tested(row: _Row, data: DataModule, way: Protocol, details: Details | None) -> dict[str, float]:
    first, *others = [_Labelled(data, scale, row.match.outputs) for scale in way.scales]
    seen = data.preprocessing()
    answering = Answering(seen.mean, seen.std) if details else None
    # With a progress bar on a terminal.
    shown = tqdm(first, desc=row.name, unit="batches", disable=None, leave=False)
    rates = test(row.net, [shown, *others], way, device(), row.metrics, answering)
    if details and answering:
        details.take(row.name, answering, first.tested(), data.info.class_names, row.match)
    return rates


def _further(columns: Sequence[str], tested: dict[str, dict[str, float]]) -> Table:
    """Return a line for each further metric, or for each of its classes that has images here."""
    table = Table("metric", box=None)
    for name in tested:
        table.add_column(printable(name), justify="right", overflow="fold")
    for column in columns:
        if not column.endswith("/"):
            values = [rates.get(column, math.nan) for rates in tested.values()]
            cells = ("–" if math.isnan(value) else f"{value:.4f}" for value in values)
            table.add_row(printable(column), *cells)
    return table


def _share(config: DataConfig, data: DataModule, images: int) -> str:
    """Return how many images were tested, and of how many: 300 of 50,000 images."""
    there = data.test_images_there
    if {*data.info.class_names} == {row["id"] for row in imagenet_classes()}:
        there = max(there, data_sets.IMAGENET_TEST_IMAGES)
    said = f"all {images:,} images" if images == there else f"{images:,} of {there:,} images"
    if config.fold is not None:
        said += f" (data.fold={config.fold} of {config.folds} parts of the training images)"
    elif data.tests_a_share:
        said += f" (data.test_share={getattr(config, 'test_share', 0):g} of a folder without test images of its own)"
    return said
