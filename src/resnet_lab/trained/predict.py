"""What a trained net sees in image files."""

import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from resnet_lab.data.decode import BrokenImage
from resnet_lab.errors import UserError, printable
from resnet_lab.files import read_bytes
from resnet_lab.trained import source as nets
from resnet_lab.trained.given import Given
from resnet_lab.trained.keys import model_choices, refuse_others
from resnet_lab.trained.seen import refuse_unread, with_given


def predict(
    images: Sequence[Path],
    run: Path | None = None,
    model: str | None = None,
    weights: str | None = None,
    top: int = 5,
    given: Given | None = None,
    overrides: Sequence[str] = (),
    *,
    trust: bool = False,
) -> int:
    """Print the most probable classes of each image; 1 where a file could not be read, else 0.

    The net and how it sees an image come from a run folder or an exported file (`run`), or from a name with weights
    and what is `given`. Raises UserError where neither or both are named, or the net cannot be had.
    """
    trained = _net(run, model, weights, overrides, trust=trust)
    if top < 1:
        raise UserError(f"--top {top}: at least 1 is needed")
    given = given or Given()
    refuse_unread(given, [trained])
    seen, assumed = with_given(trained, given)
    for said in (trained.note, assumed):
        if said:
            print(f"resnet-lab: {printable(said)}", file=sys.stderr)
    device = nets.device()
    net, broken = trained.load().to(device), 0
    for path in images:
        try:
            pixels = seen(read_bytes(path))
        except (OSError, BrokenImage) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            print(f"resnet-lab: {printable(f'{path}: {reason}')}", file=sys.stderr)
            broken += 1
            continue
        with torch.inference_mode():
            chances = net(pixels[None].to(device)).float().softmax(1)[0]
        best = chances.topk(min(top, len(chances)))
        print(printable(path))
        for chance, index in zip(best.values.tolist(), best.indices.tolist(), strict=True):
            name = seen.class_names[index] if index < len(seen.class_names) else f"class {index}"
            print(f"  {100 * chance:6.2f} %  {printable(name)}")
    return 1 if broken else 0


def _net(
    run: Path | None, model: str | None, weights: str | None, overrides: Sequence[str], *, trust: bool
) -> nets.Trained:
    refuse_others("predict", overrides, "model")
    if (run is None) == (model is None):
        raise UserError("name one net: --run RUN_DIR, or --model NAME --weights WEIGHTS")
    if run is not None:
        if weights is not None or overrides:
            said = overrides[0] if overrides else "--weights"
            raise UserError(f"{run} knows its net and weights: {said} goes with --model")
        return nets.of_itself(run, trust=trust)
    if weights is None:
        raise UserError(f"{model} knows nothing without weights: --weights imagenet, or a file")
    return nets.of_name(str(model), weights, model_choices(overrides), trust=trust)
