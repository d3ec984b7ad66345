"""Weights into a net: published ones, or a file that PyTorch, Lightning or safetensors wrote."""

import pickle
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file as load_safetensors
from torch import Tensor, nn

from resnet_lab.errors import UserError
from resnet_lab.models import published
from resnet_lab.models.description import ModelConfig

State = dict[str, Tensor]

HEAD = "fc."
# Where training programs put the weights inside what they save; averaged weights are what they test.
CONTAINERS = ("state_dict_ema", "model_ema", "state_dict", "model")
WRAPPERS = re.compile(r"^((module|net|model|backbone)\.)+")
SHOWN = 3  # entries listed of each kind


def load_weights(model: nn.Module, config: ModelConfig) -> None:
    """Fill the model that `config` describes with `config.weights`, a published name or a path.

    Raises UserError where they cannot be had, or do not fit.
    """
    entry = published.entry(config)
    if entry is not None:
        load_state(model, published.fetch(entry), str(config.weights), head=config.head)
    else:
        load_file(model, Path(str(config.weights)), head=config.head)


def load_file(model: nn.Module, path: Path, *, head: str = "keep") -> None:
    """Fill the model from a file, or from the last checkpoint of a run folder. Raises UserError."""
    load_state(model, read(path), str(path), head=head)


def read(path: Path) -> State:
    """The weights in a .pth, .pt, .ckpt or .safetensors file, or in a run folder, under the net's own names.

    Wrappers' prefixes are taken off and averaged weights are preferred. Nothing in a file is executed.
    Raises UserError where the file cannot be read or holds something else.
    """
    path = path.expanduser()
    if path.is_dir():
        written = sorted((path / "checkpoints").glob("*.ckpt"))  # named after their iterations
        if not written:
            raise UserError(f"{path} is no run folder with a checkpoint")
        path = written[-1]
    found = _content(path)
    while container := next((key for key in CONTAINERS if isinstance(_get(found, key), Mapping)), None):
        found = found[container]
    state: State = {}
    for name, value in found.items() if isinstance(found, Mapping) else ():
        plain = WRAPPERS.sub("", str(name).replace("_orig_mod.", ""))
        if plain == "n_averaged":  # torch.optim.swa_utils counts in its state
            continue
        if plain in state:
            raise UserError(f"{path} holds several nets: {plain} is there under more than one prefix")
        if not isinstance(value, Tensor):
            raise UserError(f"{path} holds no state dict: {name!r} is {type(value).__name__}")
        state[plain] = value
    if not state:
        raise UserError(f"{path} holds no state dict")
    return state


def load_state(model: nn.Module, state: State, source: str, *, head: str = "keep") -> None:
    """Fill the model with every entry of a state dict; with head=reset its classifier stays as it is.

    Raises UserError, which names `source`, where entries are missing, unexpected or of another shape. Batch
    norm's counters of batches may be missing: PyTorch before 0.4.1 had none.
    """
    own = model.state_dict()
    if head == "reset":
        state = {name: value for name, value in state.items() if not name.startswith(HEAD)}
        state |= {name: value for name, value in own.items() if name.startswith(HEAD)}
    missing = [name for name in own if name not in state and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in state if name not in own]
    wrong = [name for name in own if name in state and state[name].shape != own[name].shape]
    if wrong and not missing and not unexpected and all(name.startswith(HEAD) for name in wrong):
        classes = [len(weights[wrong[0]]) for weights in (state, own)]
        raise UserError(
            f"{source} has {classes[0]} classes and the net {classes[1]}: head=reset starts with a"
            " fresh classifier"
        )
    shapes = [f"{name} {tuple(state[name].shape)} for {tuple(own[name].shape)}" for name in wrong]
    problems = [
        f"{len(names)} {kind} ({_few(names)})"
        for kind, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
        if names
    ]
    if problems:
        raise UserError(f"{source} does not fit the net: {'; '.join(problems)}")
    model.load_state_dict(own | state)


def _content(path: Path) -> Any:
    try:
        path.open("rb").close()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    try:
        if path.suffix == ".safetensors":
            return load_safetensors(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise UserError(
            f"{path} is damaged, or holds objects whose loading would run code: save the state dict alone"
        ) from None
    except Exception as error:  # damage shows as anything
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path} is no file of weights, or damaged: {reason}") from None


def _get(found: Any, key: str) -> Any:
    return found.get(key) if isinstance(found, Mapping) else None


def _few(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
