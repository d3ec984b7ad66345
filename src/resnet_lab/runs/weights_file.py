"""Tested weights as a safetensors file that names their net and its preprocessing."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from resnet_lab.config.own_code import check_from_file, sources_of
from resnet_lab.data.preprocessing import Preprocessing
from resnet_lab.errors import UserError
from resnet_lab.files import open_file, replacing
from resnet_lab.models.net_config import NetConfig
from resnet_lab.models.other import kind_of


def write(path: Path, net: nn.Module, model: NetConfig, seen: Preprocessing | None) -> None:
    """Write weights under the net's own names, with its description and preprocessing as JSON in the metadata.

    The metadata of a net of the user's also holds the digest of its code.
    """
    weights = {name: value.contiguous() for name, value in net.state_dict().items()}
    if len({value.data_ptr() for value in weights.values() if value.numel()}) < len(weights):
        weights = {name: value.clone() for name, value in weights.items()}  # shared ones are stored twice
    metadata = {"format": "pt", "model": json.dumps(asdict(model.without_weights()))}
    if sources := sources_of(model, "model."):
        metadata["sources"] = json.dumps(sources)
    if seen is not None:
        metadata["preprocessing"] = seen.to_json()
    with replacing(path) as temporary:
        temporary.write_bytes(_in_order(save(weights, metadata)))


def described(path: Path, *, trust: bool = False) -> tuple[NetConfig, Preprocessing | None] | None:
    """Return the net and the preprocessing that a file describes; None if it describes none.

    Raises UserError where that cannot be read, and where it names code that a file may not name (`trust`: that a user
    may not) or that has changed since.
    """
    try:
        os.close(open_file(path))
        with safe_open(str(path), "pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
    except (SafetensorError, OSError):
        return None
    if "model" not in metadata:
        return None
    try:
        said = json.loads(metadata["model"])
        if "${" in metadata["model"]:  # which OmegaConf would look up, or blow up
            raise ValueError("${")
        model: Any = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(kind_of(said)), said))
        sources = dict(json.loads(metadata.get("sources", "{}")))
        seen = Preprocessing.from_json(metadata["preprocessing"]) if "preprocessing" in metadata else None
    except (OmegaConfBaseException, TypeError, ValueError) as error:
        raise UserError(
            f"{path} says what it is in words unknown here: {str(error).splitlines()[0]}"
        ) from None
    check_from_file(model, sources, "model.", path, trust=trust)
    return model.without_weights().resolved(), seen


def _in_order(data: bytes) -> bytes:
    """Sort the file's metadata, which safetensors writes in an order that changes from run to run."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8 bytes
    return len(text).to_bytes(8, "little") + text + data[8 + size :]
