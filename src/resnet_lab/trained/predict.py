"""What a trained net sees in image files."""

import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from resnet_lab.data.decode import BrokenImage
from resnet_lab.data.folders.augment import MEAN, STD
from resnet_lab.data.preprocessing import Preprocessing, by_channel
from resnet_lab.errors import UserError
from resnet_lab.models import published
from resnet_lab.models.names import entry
from resnet_lab.trained import source as nets


def predict(
    images: Sequence[Path],
    run: Path | None = None,
    model: str | None = None,
    weights: str | None = None,
    top: int = 5,
) -> int:
    """Print the most probable classes of each image; 1 where a file could not be read, else 0.

    The net and how it sees an image come from a run folder, or from a name with weights. Raises UserError where
    neither or both are given, or the net cannot be had.
    """
    if (run is None) == (model is None):
        raise UserError("name one net: --run RUN_DIR, or --model NAME --weights WEIGHTS")
    if top < 1:
        raise UserError(f"--top {top}: at least 1 is needed")
    if model is not None and weights is None:
        raise UserError(f"{model} knows nothing without weights: --weights imagenet, or a file")
    trained = nets.of_name(model, weights) if model is not None else nets.of_run(run or Path())
    seen = _of_run(trained) if trained.folder else _of_name(trained, str(model))
    names = seen.class_names
    place = nets.device()
    net, broken = trained.net.to(place), 0
    for path in images:
        try:
            pixels = seen(path.read_bytes())
        except (OSError, BrokenImage) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            print(f"resnet-lab: {path}: {reason}", file=sys.stderr)
            broken += 1
            continue
        with torch.inference_mode():
            chances = net(pixels[None].to(place)).float().softmax(1)[0]
        best = chances.topk(min(top, len(chances)))
        print(path)
        for chance, index in zip(best.values.tolist(), best.indices.tolist(), strict=True):
            print(f"  {100 * chance:6.2f} %  {names[index] if index < len(names) else f'class {index}'}")
    return 1 if broken else 0


def _of_run(trained: nets.Trained) -> Preprocessing:
    assert trained.folder is not None
    file = trained.folder.preprocessing_file
    try:
        return Preprocessing.from_json(file.read_text())
    except FileNotFoundError:
        raise UserError(
            f"{trained.folder.path} does not say how it sees images: finish the run first"
        ) from None
    except ValueError as error:
        raise UserError(f"{file} cannot be read: {error}") from None


def _of_name(trained: nets.Trained, name: str) -> Preprocessing:
    """As its published weights were tested; those of a file as ImageNet's usually are."""
    weights = published.entry(trained.model)
    if weights is not None:
        preset = weights.transforms()
        (crop,), (resize,) = preset.crop_size, preset.resize_size
        names = tuple(weights.meta["categories"])
        return Preprocessing(3, (crop, crop), resize, by_channel(preset.mean), by_channel(preset.std), names)
    side = entry(name).size
    return Preprocessing(3, (side, side), round(side * 256 / 224), by_channel(MEAN), by_channel(STD))
