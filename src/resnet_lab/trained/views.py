"""How the data of an evaluation are seen: each net as it was tested, so that no net meets another's pixels."""

from collections.abc import Collection, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from resnet_lab.config.schema import PRECISIONS
from resnet_lab.data.folders.augment import MEAN, STD
from resnet_lab.data.preprocessing import Preprocessing, by_channel
from resnet_lab.data.spec import DataConfig, DataInfo
from resnet_lab.errors import UserError
from resnet_lab.trained.classes import Match, match
from resnet_lab.trained.network import Trained
from resnet_lab.trained.seen import UNKNOWN, Given, check_channels, names, resize_of, size_of, words
from resnet_lab.training.protocols import Protocol


def untold(net: Trained, given: Given, *, of_data: bool) -> bool:
    """Return whether a net's normalisation is assumed; `of_data`: it was asked for as data.mean=…"""
    return net.seen is None and net.run is None and given.mean is None and not of_data


def as_seen(config: DataConfig, nets: Sequence[Trained], given: Given, chosen: Collection[str]) -> DataConfig:
    """Return the data set at the size that the nets were tested at, unless the `chosen` keys say another.

    Raises UserError where two nets see other parts of an image: together they are tested on the same pixels.
    """
    of_data = "mean" in chosen or "divide_by_std" in chosen
    if any(untold(net, given, of_data=of_data) for net in nets):
        config = config.by_channel()
    usual = config.view
    if usual is None:
        return config
    if {"crop", "resize", "test_crop"} & set(chosen):
        return config.viewed(*usual)
    views: dict[tuple[int, int, int], str] = {}
    for net in nets:
        view = usual
        if net.seen is not None:
            side = net.seen.size[0]
            trained = net.run.data.view if net.run else None
            view = (trained[0] if trained else side, side, net.seen.resize or side)
        elif given.size is not None:
            side = size_of(net, given)
            view = (side, side, resize_of(net, given) or side)
        views.setdefault(view, net.name)
    if len(views) > 1:
        (one, first), (other, second) = list(views.items())[:2]
        raise UserError(
            f"{first} sees {one[1]} of {one[2]} pixels and {second} {other[1]} of {other[2]}: test each alone, or"
            " both as data.crop=… data.resize=… say"
        )
    return config.viewed(*next(iter(views)))


def check_fits(net: Trained, given: Given, config: DataConfig, facts: DataInfo, how: Protocol) -> None:
    """Raise UserError where the data or the protocol are not what a net can see."""
    channels, seen = net.model.in_channels, net.seen
    if channels is not None and channels != facts.channels:
        raise UserError(
            f"{net.name} expects {channels} channels, and images of {config.name} have {facts.channels}"
        )
    resized = any(scale.resize is not None for scale in how.scales)
    if config.in_memory:
        size = seen.size if seen else (given.size,) * 2 if given.size else None
        if size not in (None, (facts.height, facts.width)):
            raise UserError(
                f"{net.name} sees {size[0]}x{size[1]} pixels, and images of {config.name} have"
                f" {facts.height}x{facts.width}: data.size={size[0]} averages them down"
            )
        if resized:
            raise UserError(
                f"{config.name} is tested on single views: --protocol single_view, not {how.name}"
            )
    elif seen is not None and seen.per_pixel:
        side = config.view[1] if config.view else facts.height
        if resized or (side, side) != seen.size:
            raise UserError(
                f"{net.name} subtracts a mean of its own for each pixel: it sees {seen.size[0]}x{seen.size[1]} pixels"
                " and no other size"
            )


def matched(net: Trained, given: Given, config: DataConfig, facts: DataInfo) -> Match:
    """Find the output of a net for each class of the data. Raises UserError where that is not known."""
    known = net.seen.class_names if net.seen else ()
    if net.seen is None and net.run is not None:
        if net.run.data != config:
            raise UserError(
                f"{net.path} does not name its classes yet: finish the run, or test it on its own data"
            )
        known = facts.class_names
    known = known or names(net, given)
    return match(known, net.outputs, facts.class_names, net.name, ordered=config.published)


class AsTrained(nn.Module):
    """A net that takes images as the data normalise them, and sees them with its own mean, std and precision."""

    scale: Tensor | None
    shift: Tensor | None

    def __init__(
        self, net: nn.Module, *, of_data: Preprocessing, of_net: Preprocessing, precision: str
    ) -> None:
        """Undo the normalisation `of_data` and apply that `of_net`: two of one type, so named where they are given."""
        super().__init__()
        self.net, self.precision = net, precision
        same = torch.equal(*torch.broadcast_tensors(of_data.mean, of_net.mean)) and torch.equal(
            *torch.broadcast_tensors(of_data.std, of_net.std)
        )
        self.register_buffer("scale", None if same else of_data.std / of_net.std)
        self.register_buffer("shift", None if same else (of_data.mean - of_net.mean) / of_net.std)

    def forward(self, images: Tensor) -> Any:
        if self.scale is not None and self.shift is not None:
            images = images * self.scale + self.shift
        narrower = PRECISIONS[self.precision].autocast
        with torch.autocast(images.device.type, getattr(torch, narrower)) if narrower else nullcontext():
            return self.net(images)


def own_preprocessing(
    net: Trained, given: Given, config: DataConfig, data: Preprocessing, *, of_data: bool
) -> tuple[Preprocessing, str | None]:
    """Return how a net sees the data, and the line that tells what was assumed of it, or None.

    A net that does not say it, and of which nothing is given, is taken for one that was normalised as the data are.
    """
    if net.seen is not None:
        if net.run is not None and net.run.data == config:
            _check_known(net, data)
        return net.seen, None
    if net.run is not None:
        return data, None
    known = names(net, given)
    if given.mean is not None and given.std is not None:
        view = replace(data, mean=by_channel(given.mean), std=by_channel(given.std), class_names=known)
        check_channels(net, view)
        return view, None
    view = replace(data, class_names=known)
    if of_data:
        return view, None
    if torch.equal(data.mean, by_channel(MEAN)) and torch.equal(data.std, by_channel(STD)):
        numbers = "ImageNet's mean and std"
    else:
        numbers = f"mean {_listed(data.mean)} and std {_listed(data.std)} of the training images"
    seen = f", {words(data)}" if data.resize is not None and given.size is None else ""
    return view, (f"{net.name} {UNKNOWN}: assumed {numbers}{seen}; --mean and --std say otherwise")


def _check_known(net: Trained, data: Preprocessing) -> None:
    """Raise UserError where a run does not see its own images as its data give them: the file is another's."""
    assert net.seen is not None
    for name in ("mean", "std"):
        numbers = torch.broadcast_tensors(getattr(net.seen, name), getattr(data, name))
        if not torch.allclose(numbers[0], numbers[1], atol=1e-4):
            raise UserError(
                f"{net.name}: the {name} in preprocessing.json is not that of the images that the run was trained on"
            )


def _listed(values: Tensor) -> str:
    return ",".join(f"{value:.4f}" for value in values.flatten().tolist())
