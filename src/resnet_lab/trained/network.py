"""A trained net, wherever it comes from: a run folder, a file that we wrote, or a name with weights."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from resnet_lab.config.identity import edited
from resnet_lab.config.own_code import check_from_file
from resnet_lab.config.schema import TrainConfig
from resnet_lab.data.preprocessing import Preprocessing, by_channel
from resnet_lab.errors import UserError, nearest
from resnet_lab.files import open_file, read_text
from resnet_lab.models import published
from resnet_lab.models.build import build, completed
from resnet_lab.models.named import NAMED, named
from resnet_lab.models.net_config import NetConfig
from resnet_lab.models.weights import fill, load_state, read
from resnet_lab.runs.checkpoints import RUN, newest_sound, weights_of
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.record import State
from resnet_lab.runs.recording import with_its_code
from resnet_lab.runs.weights_file import described


@dataclass(frozen=True)
class Trained:
    """A trained net and what it is; its preprocessing is known before its weights are read."""

    name: str
    path: Path | None  # of the folder or file it lies in
    model: NetConfig
    seen: Preprocessing | None  # as it was tested; None: nothing tells
    load: Callable[[], nn.Module]  # in eval mode, on the CPU
    run: TrainConfig | None = None  # of a run folder
    note: str | None = None  # what a user should know of where the weights come from
    trust: bool = False  # the run may name whatever code the user could name

    @property
    def outputs(self) -> int:
        assert self.model.num_classes is not None
        return self.model.num_classes


def of_itself(path: Path | str, *, trust: bool = False) -> Trained:
    """Return a run folder, or a file that says what it is, as `resnet-lab export` writes. Raises UserError.

    `trust` lets it name whatever code the user could name, not only parts that cannot do harm.
    """
    path = Path(path)
    if not os.path.isfile(path):  # noqa: PTH113 (which answers no where it may not look)
        return of_run(path, trust=trust)
    if (run := _run_of(path)) is not None:
        return of_run(run.path, path, trust=trust)
    if (found := described(path, trust=trust)) is None:
        raise UserError(f"{path} does not say what net it is of: --model NAME --weights {path}")
    model, seen = found
    return Trained(path.name, path, model, seen, partial(_filled, model, path))


def of_run(path: Path | str, checkpoint: Path | None = None, *, trust: bool = False) -> Trained:
    """Return the net that a run tested; of an unfinished run that of its last sound checkpoint, or of `checkpoint`.

    Raises UserError where the folder holds no run, its run has written no checkpoint yet, or it names code that a
    folder may not name (`trust`: that the user may not).
    """
    path = Path(path)
    folder = RunFolder(path)
    config = folder.config()
    for group in ("model", "data", "metrics"):  # what is made here; the rest is not even imported
        try:
            check_from_file(getattr(config, group), config.sources, f"{group}.", path, trust=trust)
        except UserError as error:
            raise with_its_code(error, folder) from None
    name, seen, note = path.resolve().name, _written(folder), None
    if checkpoint is not None:
        name, path = f"{name}/{checkpoint.name}", checkpoint
    elif folder.state() == State.FINISHED and folder.weights_file.exists():
        folder.check_left(folder.weights_file, folder.preprocessing_file)
        checkpoint = folder.weights_file
    else:
        checkpoint = newest_sound(folder.checkpoints, config)
        if checkpoint is None:
            finished = folder.state() == State.FINISHED
            raise UserError(
                f"{path} is finished, but its weights are not here: {folder.weights_file.name} is missing"
                if finished
                else f"{path} is {folder.state()} and has written no checkpoint: train it first"
            )
        note = f"{path} is {folder.state()}: taking iteration {int(checkpoint.stem)}"
    model = config.model.without_weights()
    return Trained(name, path, model, seen, partial(_filled, model, checkpoint), config, note, trust)


def of_name(
    name: str, weights: str | None, choices: Mapping[str, Any] | None = None, *, trust: bool = False
) -> Trained:
    """Return the net of this name with these `choices`. Raises UserError for what does not exist or fit."""
    choices = choices or {}
    if weights is not None and (Path(weights).expanduser() / "config.yaml").exists():
        raise UserError(f"{weights} is a run, which names its network: use --run {weights}")
    net = completed(named(name, **choices, weights=weights))
    path, seen = None, None
    if net.begins_published:
        seen = as_published(published.entry(net))
    elif weights is not None:
        path = Path(weights).expanduser()
        net, seen = _as_in(path, net, choices, trust=trust)
    return Trained(f"{name} {weights or ''}".strip(), path, net, seen, lambda: _ready(build(net)))


def _as_in(
    path: Path, net: NetConfig, choices: Mapping[str, Any], *, trust: bool
) -> tuple[NetConfig, Preprocessing | None]:
    """Return a net with the channels and classes of a file of weights, and its preprocessing, if that is known.

    What `choices` say stays. Raises UserError where a file of ours is of another net.
    """
    if (said := described(path, trust=trust)) is not None:
        ours, seen = said
        if not ours.translated:
            raise UserError(f"{path} is of another net: {ours.label}; --run {path} uses its own network")
        channels, classes = ours.in_channels, ours.num_classes
    else:
        run = _run_of(path)
        seen = None if run is None else _written(run)
        head = None if "num_classes" in choices else read(path).get("fc.weight")
        channels, classes = net.in_channels, net.num_classes if head is None else len(head)
    return replace(
        net,
        in_channels=net.in_channels if "in_channels" in choices else channels,
        num_classes=net.num_classes if "num_classes" in choices else classes,
    ), seen


def of(
    source: str, weights: str | None = None, choices: Mapping[str, Any] | None = None, *, trust: bool = False
) -> Trained:
    """Return a run folder, a file that says what it is, or the name of a net. Raises UserError where it is none."""
    if source in NAMED:
        return of_name(source, weights, choices, trust=trust)
    if not Path(source).exists():
        guess = nearest(source, NAMED)
        raise UserError(
            f"{source!r} is neither a run folder nor a net" + (f": did you mean {guess!r}?" if guess else "")
        )
    for option, said in (("--weights", weights), ("model.…", choices)):
        if said:
            raise UserError(
                f"{source} names its network and weights: {option} goes with the name of a network"
            )
    return of_itself(Path(source), trust=trust)


def named_ones(
    runs: Sequence[Path],
    models: Sequence[str] = (),
    weights: Sequence[str | None] = (),
    choices: Mapping[str, Any] | None = None,
    *,
    trust: bool = False,
) -> list[Trained]:
    """Return run folders or exported files, and nets by their names, each with its weights.

    Raises UserError where none is named, one is named twice, or `choices` of a description go with no name.
    """
    if len(models) != len(weights):
        counts = f"{len(models)} --model and {len(weights)} --weights"
        raise UserError(f"{counts}: each net needs its own, for example --weights imagenet")
    if not runs and not models:
        raise UserError("name a net: --run RUN_DIR, or --model NAME --weights WEIGHTS")
    if choices and not models:
        raise UserError(f"model.{next(iter(choices))}: a run names its network; model.… goes with --model")
    found = [
        *(of_itself(run, trust=trust) for run in runs),
        *(of_name(name, file, choices, trust=trust) for name, file in zip(models, weights, strict=True)),
    ]
    paths = [(net.name, net.path.resolve() if net.path else None) for net in found]
    twice = next((name for name, path in paths if paths.count((name, path)) > 1), None)
    if twice is not None:
        raise UserError(f"{twice} is named twice: an ensemble is of different nets")
    return found


def device() -> torch.device:
    """Return the first GPU, or the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _written(folder: RunFolder) -> Preprocessing | None:
    """Return how a run's images were seen, None before it is known; UserError for what cannot have been."""
    path = folder.preprocessing_file
    try:
        return Preprocessing.from_json(read_text(path))
    except FileNotFoundError:
        return None
    except (ValueError, OSError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None


def _run_of(checkpoint: Path) -> RunFolder | None:
    """Return the run that wrote a checkpoint, in whose folder it lies; None of any other file, wherever it lies."""
    folder = RunFolder(checkpoint.parent.parent)
    if checkpoint.suffix != ".ckpt" or not folder.config_file.exists():
        return None
    try:
        os.close(open_file(checkpoint))
        content = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
        same = not edited(folder.config(), content[RUN]["chosen"])
    except UserError:
        raise
    except Exception:  # damage, and other programs' files, show as anything
        return None
    return folder if same else None


def as_published(entry: Any) -> Preprocessing:
    """Return the preprocessing with which torchvision tested its weights."""
    preset = entry.transforms()
    (crop,), (resize,) = preset.crop_size, preset.resize_size
    mean, std = by_channel(preset.mean), by_channel(preset.std)
    return Preprocessing(3, (crop, crop), resize, mean, std, tuple(entry.meta["categories"]))


def _filled(model: NetConfig, path: Path) -> nn.Module:
    net = build(model)
    if path.suffix == ".ckpt":
        load_state(net, weights_of(path), str(path))
    else:
        fill(net, model, path)
    return _ready(net)


def _ready(net: nn.Module) -> nn.Module:
    return net.to(memory_format=torch.channels_last).eval()
