"""What a trained net sees in image files."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from resnet_lab.data.folders.augment import MEAN, STD, CentreView
from resnet_lab.data.folders.decode import BrokenImage, Pixels, open_picture, resized
from resnet_lab.errors import UserError
from resnet_lab.models import published
from resnet_lab.models.names import entry
from resnet_lab.trained import source as nets

View = Callable[[bytes], Tensor]  # the bytes of a file to what the net takes, (C, H, W)


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
    view, names = _of_run(trained) if trained.folder else _of_name(trained, str(model))
    place = nets.device()
    net, broken = trained.net.to(place), 0
    for path in images:
        try:
            pixels = view(path.read_bytes())
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


def _of_run(trained: nets.Trained) -> tuple[View, list[str]]:
    assert trained.folder is not None
    try:
        told = json.loads(trained.folder.preprocessing_file.read_text())
    except FileNotFoundError:
        raise UserError(
            f"{trained.folder.path} does not say how it sees images: finish the run first"
        ) from None
    mean, std = (torch.tensor(told[key]) for key in ("mean", "std"))
    if "crop" in told:
        view = CentreView(told["resize"], told["crop"])
        return lambda data: _normalised(view(open_picture(data)), mean[:, None, None], std), told[
            "class_names"
        ]
    height, width = told["size"]

    def small(data: bytes) -> Tensor:
        pixels = _square(open_picture(data).pixels())
        if told["channels"] == 1:
            pixels = np.array(Image.fromarray(pixels).convert("L"))[..., None]
        return _normalised(resized(pixels, height, width), mean, std)

    return small, told["class_names"]


def _of_name(trained: nets.Trained, name: str) -> tuple[View, list[str]]:
    """As its published weights were tested; those of a file as ImageNet's usually are."""
    weights = published.entry(trained.model)
    if weights is not None:
        preset: Any = weights.transforms()
        names = list(weights.meta["categories"])
        return lambda data: preset(_channels_first(open_picture(data).pixels())), names
    side = entry(name).size
    view, mean, std = CentreView(round(side * 256 / 224), side), torch.tensor(MEAN), torch.tensor(STD)
    return lambda data: _normalised(view(open_picture(data)), mean[:, None, None], std), []


def _normalised(pixels: Pixels, mean: Tensor, std: Tensor) -> Tensor:
    """uint8 (H, W, C) to float32 (C, H, W); mean (C, H, W) or (C, 1, 1) and std (C,) of values from 0 to 1."""
    return (_channels_first(pixels).float() / 255 - mean) / std[:, None, None]


def _channels_first(pixels: Pixels) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)


def _square(pixels: Pixels) -> Pixels:
    """The middle of an image (H, W, C), as wide as it is high."""
    side = min(pixels.shape[:2])
    top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
    return pixels[top : top + side, left : left + side]
