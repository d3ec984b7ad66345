"""A net as an ONNX file, held against ONNX Runtime before anybody gets it: the extra `onnx`."""

import logging
import warnings
from importlib.util import find_spec
from typing import IO

import torch
from torch import nn

from resnet_lab.errors import UserError

NEEDED = ("onnx", "onnxruntime", "onnxscript")
# Of the batch on which both are held against each other: another number than the net was traced with.
IMAGES = 3
CLOSE = 1e-4  # of the largest score: both sum in another order


def check() -> None:
    """Raises UserError where the extra is not installed."""
    if any(find_spec(name) is None for name in NEEDED):
        raise UserError("--format onnx needs the extra: pip install 'resnet-lab[onnx]'")


def write(program: torch.export.ExportedProgram, net: nn.Module, file: IO[bytes]) -> None:
    """Write the program, which takes any number of images (N, C, H, W) as `x` and gives `scores` (N, K).

    Raises RuntimeError where ONNX Runtime gives other scores than the net.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what the exporter thinks of its own parts
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        exported = torch.onnx.export(program, dynamo=True, verbose=False, output_names=["scores"])
    assert exported is not None
    data = exported.model_proto.SerializeToString()
    (_, *shape) = program.example_inputs[0][0].shape
    _compare(data, net, torch.randn(IMAGES, *shape, generator=torch.Generator().manual_seed(0)))
    file.write(data)


def _compare(data: bytes, net: nn.Module, images: torch.Tensor) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    theirs = torch.from_numpy(session.run(None, {given.name: images.numpy()})[0])
    with torch.inference_mode():
        ours = net(images)
    if theirs.shape != ours.shape or not (theirs - ours).abs().max() <= CLOSE * ours.abs().max().clamp(min=1):
        raise RuntimeError(
            f"ONNX Runtime gives other scores than the net, by {(theirs - ours).abs().max():.2g}"
        )
