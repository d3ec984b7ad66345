"""Tiny nets in files of ours and of others, most of which give one answer to every image: what they score is known."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from folders import CLASSES
from resnet_lab.data.folders.augment import MEAN, STD
from resnet_lab.data.preprocessing import Preprocessing, by_channel
from resnet_lab.models import ModelConfig, Net, NetConfig, build
from resnet_lab.runs import weights_file
from resnet_lab.runs.folder import RunFolder
from run_folders import ended

SIDE = 32


def model(outputs: int, **choices: object) -> Net:
    given: dict[str, Any] = {"depth": 8, "width": 4, "in_channels": 3, "num_classes": outputs, **choices}
    return ModelConfig(**given).check()


def net(description: Net, answer: int | None) -> nn.Module:
    torch.manual_seed(0)
    made = build(description)
    if answer is None:  # no class is likelier than another
        with torch.no_grad():
            made.fc.bias -= made.eval()(torch.randn(64, description.in_channels or 3, SIDE, SIDE)).mean(0)
        return made
    with torch.no_grad():
        made.fc.weight.zero_()
        made.fc.bias.zero_()
        made.fc.bias[answer] = 5.0
    return made


def told(path: Path) -> tuple[NetConfig, Preprocessing]:
    """What a file of ours says: its net, and how that sees images."""
    found = weights_file.described(path)
    assert found is not None
    assert found[1] is not None
    return found[0], found[1]


def finished(folder: RunFolder) -> RunFolder:
    """A run folder as a finished run leaves it, without the training; its net answers dog."""
    seen = told(ours(folder.weights_file, CLASSES, "dog"))[1]
    folder.preprocessing_file.write_text(seen.to_json())
    folder.write_record(ended(folder.config(), 1.0))
    return folder


def ours(path: Path, classes: Sequence[str], answer: str | None, **choices: object) -> Path:
    """A file as `resnet-lab export` writes it, of a net that always answers this class; None: as it was drawn."""
    description = model(len(classes), **choices)
    seen = Preprocessing(
        description.in_channels or 3, (SIDE, SIDE), 36, by_channel(MEAN), by_channel(STD), tuple(classes)
    )
    place = None if answer is None else list(classes).index(answer)
    weights_file.write(path, net(description, place), description, seen)
    return path


def foreign(path: Path, outputs: int, answer: int) -> Path:
    """A state dict alone, of a cifar_resnet20."""
    torch.save(net(model(outputs, depth=20, width=16), answer).state_dict(), path)
    return path
