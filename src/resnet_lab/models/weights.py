"""Weights into a net: published ones, or a file that PyTorch, Lightning or safetensors wrote."""

import os
import pickle
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file as load_safetensors
from torch import nn

from resnet_lab.errors import UserError
from resnet_lab.extras import registered
from resnet_lab.files import open_file
from resnet_lab.models import published
from resnet_lab.models.description import Net
from resnet_lab.models.net_config import NetConfig
from resnet_lab.models.resnet import ResNet
from resnet_lab.models.stored import is_as_left, weights_in_run
from resnet_lab.models.unwrapping import EXTRA, State, unwrapped, weights_in

HEAD = "fc."
WRAPPERS = ("", "backbone.", "model.", "module.", "_orig_mod.")  # of a LightningModule, DDP, compile
SHOWN = 3  # entries listed of each kind


def load_weights(model: nn.Module, net: NetConfig) -> None:
    """Fill the model that `net` describes with `net.weights`, a published name or a path.

    Raises UserError where they cannot be read, or do not fit.
    """
    entry = published.entry(net) if net.begins_published else None
    if entry is not None:
        load_state(model, published.fetch(entry), str(net.weights), head=net.fresh_head)
    else:
        fill(model, net, Path(str(net.weights)).expanduser())


def fill(model: nn.Module, net: NetConfig, path: Path) -> None:
    """Fill the model that `net` describes from a file or a run folder. Raises UserError where that does not fit."""
    state = read(path) if net.translated else read_exactly(path, model.state_dict())
    load_state(model, state, str(path), head=net.fresh_head)


def read(path: Path) -> State:
    """Return the weights in a .pth, .pt, .ckpt or .safetensors file, or in a run folder, under the net's own names.

    Of a finished run, the tested weights; else those of its last sound checkpoint. Wrappers' prefixes are taken off,
    other programs' names translated, and averaged weights preferred. Nothing in a file is executed.
    Raises UserError where the file cannot be read or holds something else.
    """
    path = path.expanduser()
    if not path.is_dir():
        return weights_in(_content(path), str(path))
    *newer, oldest = _in_run(path)
    for checkpoint in newer:
        try:
            return _of_its_name(checkpoint)
        except UserError:  # cut short: the one before is whole
            continue
    return _of_its_name(oldest)


def read_exactly(path: Path, names: Iterable[str]) -> State:
    """Read weights for a user's own model: remove a wrapper's prefix, and translate no names."""
    if path.is_dir():
        path = _in_run(path)[0]
    found = unwrapped(_content(path), str(path))
    if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise UserError(f"{path} holds no state dict")
    known = set(names)
    prefix = next((each for each in WRAPPERS if any(f"{each}{name}" in found for name in known)), "")
    return {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}


def check_fits(net: Net, path: Path) -> None:
    """Raise UserError, as `load_state` does, where names and shapes in a file are not those of a net of this kind."""
    state = read(path)
    ends = {"fc.weight": (10,), "conv1.weight": (10, 3)} | {
        name: tuple(value.shape) for name, value in state.items()
    }
    channels = next(
        (shape[1] for name, shape in ends.items() if name in ("conv1.weight", "conv1.0.weight")), 3
    )
    with torch.device("meta"):
        own = replace(net, in_channels=channels, num_classes=ends["fc.weight"][0]).make()
    check_state(own, state, str(path), head=net.fresh_head)


def _of_its_name(path: Path) -> State:
    """Return the weights of a checkpoint; UserError where its name says another iteration than it does."""
    content = _content(path)
    if path.suffix == ".ckpt" and isinstance(content, dict):
        step = content.get("global_step", int(path.stem))
        if step != int(path.stem):
            raise UserError(f"{path} is of iteration {step}")
    return weights_in(content, str(path))


def _in_run(folder: Path) -> list[Path]:
    if not (found := weights_in_run(folder)):
        raise UserError(f"{folder} is not a run folder with a checkpoint")
    if not is_as_left(found[0]):
        raise UserError(f"{found[0]} is not what the run left: it is damaged, or of another run")
    return found


def load_state(model: nn.Module, state: State, source: str, *, head: str | None = None) -> None:
    """Fill the model with every entry of a state dict; those that begin with `head` stay as they are.

    Raises UserError, which names `source`, where entries are missing, unexpected or of another shape. Batch
    norm's counters of batches may be missing: PyTorch before 0.4.1 had none.
    """
    model.load_state_dict(check_state(model, state, source, head=head))


def check_state(model: nn.Module, state: State, source: str, *, head: str | None = None) -> State:
    """Return the state dict that `load_state` fills the model with. Raises UserError as that does."""
    own = model.state_dict()
    if head is not None:
        state = {name: value for name, value in state.items() if not name.startswith(head)}
        state |= {name: value for name, value in own.items() if name.startswith(head)}
    missing = [name for name in own if name not in state and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in state if name not in own]
    wrong = [name for name in own if name in state and state[name].shape != own[name].shape]
    if wrong and not missing and not unexpected and all(name.startswith(HEAD) for name in wrong):
        classes = [len(weights[wrong[0]]) for weights in (state, own)]
        raise UserError(
            f"{source} has {classes[0]} classes and the net {classes[1]}: head=reset starts with a"
            " fresh classifier"
        )
    headless = missing and all(name.startswith(HEAD) for name in missing)
    if headless and not wrong and not unexpected and isinstance(model, ResNet):
        raise UserError(
            f"{source} holds no classifier ({_few(missing)}): model.head=reset starts with a fresh one"
        )
    shapes = [f"{name} {tuple(state[name].shape)} for {tuple(own[name].shape)}" for name in wrong]
    problems = [
        f"{len(names)} {kind} ({_few(names)})"
        for kind, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
        if names
    ]
    if problems:
        seen = "".join(program().difference(state, own) for program in registered(EXTRA).values())
        raise UserError(f"{source} does not fit the net: {'; '.join(problems)}{seen and f'; {seen}'}")
    return own | state


# How files that are no weights begin, what they are, and what to do instead.
STRANGERS = {
    b"version https://git-lfs": "a Git-LFS pointer: `git lfs pull` fetches the file that it stands for",
    b"<": "a page of the web, saved in place of the file: fetch the file itself",
    b"{": "text in JSON, and no weights",
    b"\x89HDF": "HDF5, as Keras writes: no weights of PyTorch's",
    b"\x93NUMPY": "an array of NumPy's, and no state dict",
    b"\x1f\x8b": "compressed: unpack it first",
}


def _content(path: Path) -> Any:
    try:
        with os.fdopen(open_file(path), "rb") as file:  # a pipe would keep its reader waiting
            beginning = file.read(64)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    for first, what in STRANGERS.items():
        if beginning.lstrip().startswith(first):
            raise UserError(f"{path} is not a file of weights: it is {what}")
    try:
        if path.suffix == ".safetensors" or beginning[8:10] == b'{"':  # whatever it is called
            return load_safetensors(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise UserError(
            f"{path} is damaged, or holds objects whose loading would run code: save the state dict alone"
        ) from None
    except Exception as error:  # damage shows as anything
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path} is not a file of weights, or it is damaged: {reason}") from None


def _few(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
