"""A net of any other kind, made by what its target names and tried on two images. Free of torch at import.

Which targets may be named at all is asked before anything here is called (`resnet_lab.config.targets`).
"""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from resnet_lab.errors import UserError, nearest
from resnet_lab.models.other import OtherConfig, label
from resnet_lab.targets import called, locate, made

if TYPE_CHECKING:
    from torch import nn

Shape = tuple[int, int, int]  # (C, H, W)
TARGET = "model._target_"


def build(config: OtherConfig) -> "nn.Module":
    """The net with its weights, where it names some. Raises UserError where it cannot be made, or they do not fit."""
    from torch import nn

    from resnet_lab.models.weights import load_state, read_exactly

    given = made(config.args, "model.args")
    if config.classes_as is not None:
        given[config.classes_as] = config.num_classes
    if config.channels_as is not None:
        given[config.channels_as] = config.in_channels
    net = called(f"{TARGET}={config._target_}", locate(config._target_, TARGET), **given)
    if not isinstance(net, nn.Module):
        raise UserError(f"{TARGET}={config._target_} gives {type(net).__name__}: an nn.Module is needed")
    if config.head is not None and config.head not in (
        names := [name for name, _ in net.named_modules() if name]
    ):
        close = nearest(config.head, names) or (names[-1] if names else None)
        raise UserError(f"model.head={config.head}: the net has no such module; did you mean {close!r}?")
    if config.weights is not None:
        source = Path(config.weights).expanduser()
        weights = read_exactly(source, net.state_dict())
        load_state(net, weights, str(source), head=f"{config.head}." if config.reset_head else None)
    return net


def check(config: OtherConfig, shape: Shape, classes: int, *, free: bool = False) -> int:
    """The scores that the net gives an image of this shape, for so many classes at least; it is made and called once.

    Nothing is computed where the net lets itself be tried without. Raises UserError for a target that cannot be
    imported or made, an argument that it does not take, and a net that gives anything but (N, classes), unless the
    run's module is `free` to use whatever it gives.
    """
    if not config._target_:
        raise UserError(
            f"{TARGET} is needed: the dotted path of the network, for example torchvision.models.densenet121"
        )
    if config.reset_head and (config.head is None or config.weights is None):
        raise UserError("model.reset_head needs model.weights, and model.head, the module that starts afresh")
    if config.weights is not None and not Path(config.weights).expanduser().exists():
        raise UserError(f"model.weights={config.weights}: no such file or run folder")
    key = repr((config, shape))
    if key not in _TRIED:
        _TRIED[key] = _tried(config, shape)
    gives = _TRIED[key]
    if free:
        return classes
    if isinstance(gives, str) or len(gives) != 2 or gives[0] != 2:
        size = "x".join(map(str, shape))
        raise UserError(
            f"{label(config)} gives {gives} for 2 images of {size}: scores of shape (2, classes) are needed"
        )
    given = gives[1]
    if given < classes:
        way = (
            "say in model.classes_as which argument takes their number"
            if config.classes_as is None
            else "all are needed"
        )
        raise UserError(
            f"{label(config)} gives {given} scores an image, and the data have {classes} classes: {way}"
        )
    return given


_TRIED: dict[str, tuple[int, ...] | str] = {}


def outline(config: OtherConfig, shape: Shape) -> "nn.Module":
    """The net on the meta device, where it costs no memory and no time; on the CPU where it does not work there.

    Its weights are not read. Raises UserError where it works nowhere.
    """
    import torch

    bare = replace(config, weights=None, reset_head=False)
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            net = build(bare)
            _output(net, config, shape)
        return net
    except Exception:  # whatever it is: the CPU has the last word, and the better words
        with torch.random.fork_rng(devices=[]):
            return build(bare)


def _tried(config: OtherConfig, shape: Shape) -> tuple[int, ...] | str:
    import torch

    with torch.random.fork_rng(devices=[]):
        return _output(outline(config, shape), config, shape)


def _output(net: "nn.Module", config: OtherConfig, shape: Shape) -> tuple[int, ...] | str:
    """Return the shape of what the net gives for two images in a test, or its type. Raises UserError if it fails."""
    import torch

    first = next(net.parameters(), None)
    if first is None:
        raise UserError(f"{label(config)} has no parameters to train")
    size = "x".join(map(str, shape))
    given: object = None
    for training in (True, False):
        with torch.no_grad():
            images = torch.zeros(2, *shape, device=first.device)
            given = called(f"{label(config)} for images of {size}", net.train(training), images)
    net.train()
    return tuple(given.shape) if isinstance(given, torch.Tensor) else type(given).__name__
