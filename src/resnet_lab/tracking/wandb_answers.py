"""What a run leaves beside its rows, as W&B shows it: tables, a chart, and artifacts. Free of torch."""

import csv
import re
from pathlib import Path
from typing import Any

from resnet_lab.files import read_text
from resnet_lab.tracking.facts import Facts
from resnet_lab.training import answers as answered
from resnet_lab.training import surest_mistakes

MOST = 100  # classes, beyond which a matrix is no picture
PROBES = ("layer_responses", "gradient_norms")


def tables(folder: Path) -> dict[str, Any]:
    """`mistakes`, the surest with their images, `per_class`, and what the probes measured: what there is of them."""
    import wandb

    found = {}
    for name in PROBES:
        if (file := folder / f"{name}.csv").exists():
            header, *lines = csv.reader(read_text(file).splitlines())
            data = [[int(epoch), int(index), layer, float(value)] for epoch, index, layer, value in lines]
            found[name] = wandb.Table(columns=list[str | int](header), data=data)
    if (answers := answered.read(folder)) is None:
        return found
    images = surest_mistakes.read(folder)
    rows = answers.per_class()
    wrong = [
        [wandb.Image(pixels), each.image, each.label, each.prediction, each.probability]
        for pixels, each in zip(images, answers.mistakes(), strict=False)
    ]
    columns: list[str | int] = ["picture", "image", "label", "prediction", "probability"]
    return found | {
        "mistakes": wandb.Table(columns=columns, data=wrong),
        "per_class": wandb.Table(columns=list(rows[0]), data=[list(row.values()) for row in rows]),
    }


def confusion(folder: Path) -> Any | None:
    """Return the confusion matrix as one of W&B's plots; None without answers, or of very many classes."""
    import wandb

    answers = answered.read(folder)
    if answers is None or len(names := answers.confusion()[0]) > MOST:
        return None
    indices = {name: index for index, name in enumerate(names)}
    return wandb.plot.confusion_matrix(
        y_true=[indices[each.label] for each in answers.given],
        preds=[indices[each.prediction] for each in answers.given],
        class_names=names,
        title="confusion matrix of the final test",
    )


def weights(facts: Facts, given: str, file: Path) -> Any:
    """Return the weights as an artifact; the file stays where it is."""
    import wandb

    name = re.sub(r"[^\w.-]", "-", f"{facts.name}-{given.rpartition('-')[2]}")
    artifact = wandb.Artifact(name[:128], type="model", metadata=facts.config)
    artifact.add_file(str(file), policy="immutable", skip_cache=True)
    return artifact


def checkpoint(given: str, folder: Path, newest: Path) -> Any:
    """Return a folder from which another machine resumes the run, with this checkpoint, as an artifact."""
    import wandb

    artifact = wandb.Artifact(
        f"checkpoint-{given}", type="checkpoint", metadata={"iteration": int(newest.stem)}
    )
    for file in (folder / "config.yaml", folder / "wandb.json", newest):
        artifact.add_file(str(file), name=file.relative_to(folder).as_posix(), skip_cache=True)
    return artifact
