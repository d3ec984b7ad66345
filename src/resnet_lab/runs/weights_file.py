"""Tested weights as a safetensors file that says what net they are of, and how it sees images."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from resnet_lab.data.preprocessing import Preprocessing
from resnet_lab.errors import UserError
from resnet_lab.files import replacing
from resnet_lab.models.description import ModelConfig


def write(path: Path, net: nn.Module, model: ModelConfig, seen: Preprocessing | None) -> None:
    """Under torchvision's names; description and preprocessing are JSON in the file's metadata."""
    weights = {name: value.contiguous() for name, value in net.state_dict().items()}
    told = {"format": "pt", "model": json.dumps(asdict(_bare(model)))}
    if seen is not None:
        told["preprocessing"] = seen.to_json()
    with replacing(path) as temporary:
        temporary.write_bytes(_in_order(save(weights, told)))


def described(path: Path) -> tuple[ModelConfig, Preprocessing | None] | None:
    """What a file says of itself; None of any other file. Raises UserError where that cannot be read."""
    try:
        with safe_open(str(path), "pt") as file:
            told: dict[str, str] = file.metadata() or {}
    except (SafetensorError, OSError):
        return None
    if "model" not in told:
        return None
    try:
        model: Any = OmegaConf.to_object(
            OmegaConf.merge(OmegaConf.structured(ModelConfig), json.loads(told["model"]))
        )
        seen = Preprocessing.from_json(told["preprocessing"]) if "preprocessing" in told else None
    except (OmegaConfBaseException, TypeError, ValueError) as error:
        raise UserError(
            f"{path} says what it is in words unknown here: {str(error).splitlines()[0]}"
        ) from None
    return _bare(model), seen


def _in_order(data: bytes) -> bytes:
    """The same file with its metadata sorted: safetensors writes them in an order that changes from run to run."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8 bytes
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def _bare(model: ModelConfig) -> ModelConfig:
    """Without where its weights came from: they are in the file."""
    return replace(model, weights=None, head="keep")
