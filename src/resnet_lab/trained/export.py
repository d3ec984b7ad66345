"""A trained net as a file for other programs."""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save

from resnet_lab.errors import UserError, unknown
from resnet_lab.files import replacing
from resnet_lab.models.names import NAMED
from resnet_lab.trained import source as nets

SUFFIXES = {"safetensors": ".safetensors", "torch": ".pth", "torch-export": ".pt2"}


def export(source: str, kind: str, out: Path | None = None, weights: str | None = None) -> int:
    """Write the net of a run folder or a name; returns 0.

    safetensors, torch: the state dict, under torchvision's names; safetensors has the description as JSON in its
    metadata. torch-export: a program for any number of images (N, C, H, W), for `torch.export.load`. Raises
    UserError for an unknown source or format, and where the file cannot be written.
    """
    if kind not in SUFFIXES:
        raise unknown("format", kind, SUFFIXES)
    trained = nets.of(source, weights)
    state = {name: value.contiguous() for name, value in trained.net.state_dict().items()}
    path = out or Path(Path(source).name + SUFFIXES[kind])
    try:
        with replacing(path) as temporary:
            if kind == "safetensors":
                description = json.dumps(asdict(trained.model))
                temporary.write_bytes(save(state, {"format": "pt", "model": description}))
            elif kind == "torch":
                torch.save(state, temporary)
            else:
                with temporary.open("wb") as file:
                    torch.export.save(_program(trained, source), file)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None
    print(path)
    return 0


def _program(trained: nets.Trained, source: str) -> torch.export.ExportedProgram:
    if trained.run is not None:
        from resnet_lab.data import info

        facts = info(trained.run.data)
        shape = (facts.channels, facts.height, facts.width)
    else:
        side = NAMED[source].size
        shape = (trained.model.in_channels or 3, side, side)
    images = torch.zeros(2, *shape)  # a batch of one would be taken for the only size there is
    return torch.export.export(
        trained.net, (images,), dynamic_shapes={"x": {0: torch.export.Dim("batch", max=2**16)}}
    )
