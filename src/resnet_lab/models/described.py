"""The description that lies with a file of weights, and what has to be said where none does. Free of torch."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from resnet_lab.errors import UserError
from resnet_lab.files import open_file, read_yaml
from resnet_lab.models import blocks, orders, shortcuts
from resnet_lab.models.description import AUTO, TRAINING, ModelConfig, Net, unasked
from resnet_lab.models.orders import SHARED_PREACTIVATION
from resnet_lab.models.plans import STRIDE_ON
from resnet_lab.models.published import variant
from resnet_lab.models.shortcuts import ZERO_CHANNELS


def check_weights(config: ModelConfig, net: Net) -> None:
    """Raise UserError where the weights that `config` asks for, which is resolved as `net`, are not there.

    Or where those of a file cannot be taken for this net's, in what names and shapes cannot show: either the file says
    otherwise, or it says nothing and `config` leaves open what programs do in different ways.
    """
    if variant(net) is not None:
        return
    path = Path(str(config.weights)).expanduser()
    theirs = description_in(path)
    if theirs is not None:
        free = (*TRAINING, "in_channels", "num_classes")
        names = [each.name for each in fields(Net) if each.name not in free]
        different = [name for name in names if getattr(theirs, name) != getattr(net, name)]
        needed = " ".join(f"model.{name}={getattr(theirs, name)}" for name in different)
        reason = f"{path} has the weights of {theirs.label}, another net: {needed}" if different else None
    else:
        ways = ", and ".join(
            " or ".join(f"model.{name}={choice} ({source})" for choice, source in choices.items())
            for name, choices in _differing(net)
            if getattr(config, name) == AUTO
        )
        reason = f"{path} does not say which net with such names it is of: give {ways}" if ways else None
    if reason is not None:
        from resnet_lab.models.weights import check_fits  # slow to import, and on the way to an error only

        check_fits(net, path)  # nobody is asked about a file that will not do either way
        raise UserError(reason)


def description_in(path: Path) -> Net | None:
    """Return the net that a run folder, a checkpoint of one or an exported file names; None where it names none.

    A file says it itself: another program's, in a folder of ours, is of another net than the folder's run.
    """
    try:
        said = _said_in(path)
    except Exception:  # damage is reported when the weights are read; other programs' files show as anything
        return None
    known = {each.name for each in fields(ModelConfig)}
    if "_target_" in said or not known & said.keys():
        return None
    return replace(unasked(), **{key: value for key, value in said.items() if key in known}).resolved()


def _said_in(path: Path) -> Mapping[str, Any]:
    """Return the fields that a run folder or a file gives; a checkpoint those that are not the defaults."""
    if path.is_dir():
        said = read_yaml(path / "config.yaml")["model"]
        return said if {"family", "depth", "zero_channels"} <= said.keys() else {}
    if path.suffix == ".safetensors":
        from safetensors import safe_open

        os.close(open_file(path))
        with safe_open(path, "np") as file:  # which needs no torch
            return dict(json.loads(file.metadata()["model"]))
    if path.suffix != ".ckpt":
        return {}
    import torch

    with os.fdopen(open_file(path), "rb"):
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    chosen = json.loads(content["run"]["chosen"])
    return {"family": ModelConfig.family} | {
        key.removeprefix("model."): value for key, value in chosen.items() if key.startswith("model.")
    }


def _differing(net: Net) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the fields in which programs differ without a trace in their files, with their possible values."""
    shortcut, order = shortcuts.find(net.shortcut), orders.find(net.order)
    if shortcut.pads():
        yield "zero_channels", ZERO_CHANNELS
    if order.activates_first:
        shared = dict(SHARED_PREACTIVATION)
        if not shortcut.pads():
            del shared["first_and_changes"]
        if order.norm_first:
            del shared["projections"]  # its stem has no batch norm
        if len(shared) > 1:
            yield "shared_preactivation", shared
    if blocks.load(net.block).kernels[0] == 1 and net.family_plan().stride_on == "1x1":
        yield "stride_on", STRIDE_ON  # where torchvision's names come with torchvision's stride, nobody asks
