"""A trained net, wherever it comes from: a run folder, or a name with weights."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from resnet_lab.config.schema import TrainConfig
from resnet_lab.errors import UserError, nearest
from resnet_lab.models.build import build, create_model
from resnet_lab.models.description import ModelConfig
from resnet_lab.models.names import NAMED, named
from resnet_lab.models.weights import load_state, read
from resnet_lab.runs.checkpoints import newest_sound, weights_of
from resnet_lab.runs.folder import RunFolder


@dataclass(frozen=True)
class Trained:
    """A net in eval mode, on the CPU, and what it is."""

    name: str
    net: nn.Module
    model: ModelConfig
    run: TrainConfig | None = None  # of a run folder
    folder: RunFolder | None = None


def of_run(path: Path) -> Trained:
    """The net that a run tested, or, where it is not finished, that of its last sound checkpoint.

    Raises UserError where the folder is no run's, or its run has written no checkpoint yet.
    """
    folder = RunFolder(path)
    config = folder.config()
    model = ModelConfig(**{**vars(config.model), "weights": None, "head": "keep"})
    net = build(model)
    if folder.state() == "finished" and folder.weights_file.exists():
        load_state(net, read(folder.weights_file), str(path))
    else:
        last = newest_sound(folder.checkpoints)
        if last is None:
            raise UserError(f"{path} is {folder.state()} and has written no checkpoint: train it first")
        net.load_state_dict(weights_of(last))
        print(f"{path} is {folder.state()}: taking iteration {int(last.stem)}", flush=True)
    return Trained(path.name, _ready(net), model, config, folder)


def of_name(name: str, weights: str | None) -> Trained:
    """The net of this name with its weights. Raises UserError for a name or weights that do not exist."""
    config = named(name, weights=weights)
    return Trained(f"{name} {weights or ''}".strip(), _ready(create_model(name, weights=weights)), config)


def of(source: str, weights: str | None = None) -> Trained:
    """A run folder, or the name of a net. Raises UserError where it is neither."""
    if source in NAMED:
        return of_name(source, weights)
    if not Path(source).is_dir():
        guess = nearest(source, NAMED)
        raise UserError(
            f"{source!r} is neither a run folder nor a net" + (f": did you mean {guess!r}?" if guess else "")
        )
    if weights is not None:
        raise UserError(f"{source} is a run and has its own weights: --weights goes with a net's name")
    return of_run(Path(source))


def device() -> torch.device:
    """The first GPU, or the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _ready(net: nn.Module) -> nn.Module:
    return net.to(memory_format=torch.channels_last).eval()
