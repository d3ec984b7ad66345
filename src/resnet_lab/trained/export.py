"""A trained net as a file for other programs; ONNX is held against ONNX Runtime before anybody gets it."""

import logging
import sys
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import torch
from torch import nn

from resnet_lab.data import info
from resnet_lab.errors import UserError, printable, unknown
from resnet_lab.files import replacing
from resnet_lab.runs import weights_file
from resnet_lab.trained import network as nets
from resnet_lab.trained.keys import Pairs
from resnet_lab.trained.seen import Given, refuse_unread, size_of, with_given

NEEDED = ("onnx", "onnxruntime", "onnxscript")
# Of the batch on which both are held against each other: another number than the net was traced with.
IMAGES = 3
CLOSE = 1e-4  # of the largest score: both sum in another order
SUFFIXES = {"safetensors": ".safetensors", "torch": ".pth", "torch-export": ".pt2", "onnx": ".onnx"}


def export(
    source: str,
    kind: str,
    out: Path | None = None,
    weights: str | None = None,
    given: Given | None = None,
    overrides: Sequence[str] = (),
    *,
    trust: bool = False,
) -> int:
    """Write the net of a run folder, an exported file or a name; returns 0.

    safetensors, torch: the state dict, under torchvision's names; safetensors has the description, and how images
    are seen, as JSON in its metadata. torch-export: a program for any number of images (N, C, H, W), for
    `torch.export.load`, and onnx the same for ONNX Runtime, which gives the same scores when it is written.
    Raises UserError for an unknown source or format, and where the file cannot be written.
    """
    if kind not in SUFFIXES:
        raise unknown("format", kind, SUFFIXES)
    if kind == "onnx" and any(find_spec(name) is None for name in NEEDED):
        raise UserError("--format onnx needs the extra: pip install 'resnet-lab[onnx]'")
    trained = nets.of(source, weights, Pairs("export", overrides, "model").model, trust=trust)
    given = given or Given()
    refuse_unread(given, [trained])
    seen = with_given(trained, given)[0] if given else trained.seen
    if trained.note:
        print(f"resnet-lab: {printable(trained.note)}", file=sys.stderr)
    resolved = Path(
        source
    ).resolve()  # a net's own name, that of a folder wherever one stands, or that of a file
    path = out or Path((resolved.stem if resolved.is_file() else resolved.name) + SUFFIXES[kind])
    net = trained.load()
    try:
        if kind == "safetensors":
            weights_file.write(path, net, trained.model, seen)
        else:
            with replacing(path) as temporary, temporary.open("wb") as file:
                if kind == "onnx":
                    _write_onnx(_program(trained, net, given), net, file)
                elif kind == "torch":
                    torch.save({name: value.contiguous() for name, value in net.state_dict().items()}, file)
                else:
                    torch.export.save(_program(trained, net, given), file)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None
    print(printable(str(path)))
    return 0


def _program(trained: nets.Trained, net: nn.Module, given: Given) -> torch.export.ExportedProgram:
    net = net.to(memory_format=torch.contiguous_format)  # in which its file holds it
    # A batch of one would be taken for the only size there is.
    images = torch.zeros(2, *_shape(trained, given))
    return torch.export.export(
        net, (images,), dynamic_shapes={"x": {0: torch.export.Dim("batch", max=2**16)}}
    )


def _shape(trained: nets.Trained, given: Given) -> tuple[int, int, int]:
    """Channels, height and width of what the net sees; its images need not be there."""
    if trained.seen is not None:
        return trained.seen.channels, *trained.seen.size
    if trained.run is not None:
        facts = info(trained.run.data)
        return facts.channels, facts.height, facts.width
    side = size_of(trained, given)
    return trained.model.in_channels or 3, side, side


def _write_onnx(program: torch.export.ExportedProgram, net: nn.Module, file: IO[bytes]) -> None:
    """Write the program, which takes any number of images (N, C, H, W) as `x` and gives `scores` (N, K).

    Raises RuntimeError where ONNX Runtime gives other scores than the net.
    """
    import onnxruntime

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what the exporter thinks of its own parts
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        exported = torch.onnx.export(program, dynamo=True, verbose=False, output_names=["scores"])
    assert exported is not None
    data = exported.model_proto.SerializeToString()
    (_, *shape) = program.example_inputs[0][0].shape
    images = torch.randn(IMAGES, *shape, generator=torch.Generator().manual_seed(0))
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    theirs = torch.from_numpy(session.run(None, {given.name: images.numpy()})[0])
    with torch.inference_mode():
        ours = net(images)
    if theirs.shape != ours.shape or not (theirs - ours).abs().max() <= CLOSE * ours.abs().max().clamp(min=1):
        raise RuntimeError(
            f"ONNX Runtime gives other scores than the net, by {(theirs - ours).abs().max():.2g}"
        )
    file.write(data)
