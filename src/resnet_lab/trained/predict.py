"""What a trained net sees in image files, and in folders of them."""

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch

from resnet_lab.data.decode import BrokenImage
from resnet_lab.data.folders.walk import entries, is_folder, is_image, stamp_of
from resnet_lab.data.preprocessing import Preprocessing
from resnet_lab.errors import UserError, printable, unknown
from resnet_lab.files import read_bytes
from resnet_lab.trained.network import Trained, device

FORMATS = ("text", "csv", "json")
BATCH = 64  # images at a time
TOP = 5  # classes of each image in text


@dataclass(frozen=True)
class Prediction:
    """What a net answers to one image."""

    image: Path
    classes: tuple[str, ...]  # in the order of the net's outputs
    probabilities: tuple[float, ...]  # of each; empty where the image cannot be read
    error: str = ""  # why

    def top(self, count: int = 1) -> list[tuple[str, float]]:
        """Return the most probable classes with their probabilities, the surest first."""
        pairs = zip(self.classes, self.probabilities, strict=True)
        return sorted(pairs, key=lambda pair: -pair[1])[:count]


def predict(trained: Trained, seen: Preprocessing, images: Iterable[Path]) -> Iterator[Prediction]:
    """Give the prediction for each image, in order; folders stand for the pictures anywhere below them.

    Raises UserError for a folder without a picture.
    """
    where = device()
    net = trained.load().to(where)
    known = seen.class_names
    classes = tuple(known[at] if at < len(known) else f"class {at}" for at in range(trained.outputs))
    paths = pictures(images)
    while some := list(islice(paths, BATCH)):
        read = [_read(seen, path) for path in some]
        there = [pixels for pixels in read if isinstance(pixels, torch.Tensor)]
        with torch.inference_mode():
            chances = net(torch.stack(there).to(where)).float().softmax(1).tolist() if there else []
        answers = iter(chances)
        for path, pixels in zip(some, read, strict=True):
            if isinstance(pixels, str):
                yield Prediction(path, classes, (), pixels)
            else:
                yield Prediction(path, classes, tuple(next(answers)))


def pictures(paths: Iterable[Path]) -> Iterator[Path]:
    """Give the paths, and in the place of a folder the pictures below it. Raises UserError where there is none."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = _below(path, ())
        first = next(found, None)
        if first is None:
            raise UserError(f"{path} holds no picture, such as a .jpg or a .png")
        yield first
        yield from found


def _below(folder: Path, above: tuple[tuple[int, int], ...]) -> Iterator[Path]:
    device_and_inode = stamp_of(folder)[:2]
    if device_and_inode in above:
        return  # a link back to a folder that holds it
    for entry in entries(folder):
        if is_folder(entry):
            yield from _below(Path(entry.path), (*above, device_and_inode))
        elif is_image(entry):
            yield Path(entry.path)


def _read(seen: Preprocessing, path: Path) -> torch.Tensor | str:
    """Return what the net sees of an image, or why it cannot be read."""
    try:
        return seen(read_bytes(path))
    except (OSError, BrokenImage) as error:
        return str(error.strerror if isinstance(error, OSError) else error)


def show(found: Iterable[Prediction], form: str = "text", top: int | None = None) -> int:
    """Print predictions as text, CSV or JSON, each as it is made; 1 where an image could not be read, else 0.

    Text has the `top` classes of each image; CSV and JSON have the probability of every class. Raises UserError for a
    format that there is not, and a `top` that cannot be.
    """
    if form not in FORMATS:
        raise unknown("format", form, FORMATS)
    if top is not None and (top < 1 or form != "text"):
        reason = "at least 1 is needed" if form == "text" else f"--format {form} has every class"
        raise UserError(f"--top {top}: {reason}")
    printed = broken = 0
    for each in found:
        if each.error:
            print(f"resnet-lab: {printable(f'{each.image}: {each.error}')}", file=sys.stderr)
            broken += 1
            continue
        if form == "text":
            print(printable(each.image))
            for name, chance in each.top(top or TOP):
                print(f"  {100 * chance:6.2f} %  {printable(name)}")
        elif form == "csv":
            _print_csv(each, header=not printed)
        else:
            print("," if printed else "[")
            print(_json(each), end="")
        printed += 1
    if form == "json":
        print("\n]" if printed else "[]")
    return 1 if broken else 0


def _print_csv(each: Prediction, *, header: bool) -> None:
    ((name, chance),) = each.top()
    rows = [("image", "prediction", "probability", *each.classes)] if header else []
    rows.append((printable(each.image), name, *(f"{share:.6g}" for share in (chance, *each.probabilities))))
    csv.writer(sys.stdout, lineterminator="\n").writerows(map(printable, row) for row in rows)


def _json(each: Prediction) -> str:
    shares = [{"class": printable(name), "probability": share} for name, share in each.top(len(each.classes))]
    best = shares[0]
    said = {"image": printable(each.image), "prediction": best["class"], "probability": best["probability"]}
    return json.dumps({**said, "classes": shares})
