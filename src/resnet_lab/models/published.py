"""torchvision's published ImageNet weights: which nets have them, and fetching. Free of torch at import."""

import contextlib
import hashlib
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from resnet_lab.errors import UserError, unknown
from resnet_lab.models.description import PUBLISHED, TRAINING, ModelConfig
from resnet_lab.models.named import named
from resnet_lab.models.net_config import NetConfig

if TYPE_CHECKING:
    from torch import Tensor
    from torchvision.models import WeightsEnum

# Our name for each net is torchvision's. Known without torch, so that a wrong name is reported at once;
# the last is the best. A test holds the table to torchvision's.
VARIANTS = {
    **dict.fromkeys(("resnet18", "resnet34", "resnext101_64x4d"), ("IMAGENET1K_V1",)),
    **dict.fromkeys(
        (
            *("resnet50", "resnet101", "resnet152", "resnext50_32x4d", "resnext101_32x8d"),
            *("wide_resnet50_2", "wide_resnet101_2"),
        ),
        ("IMAGENET1K_V1", "IMAGENET1K_V2"),
    ),
}

_USUAL = ModelConfig()
# What training chooses, and the layers at either end, do not tell whose weights a net can take.
_ANY: Mapping[str, Any] = {name: getattr(_USUAL, name) for name in ("in_channels", "num_classes", *TRAINING)}


def net_of(net: NetConfig) -> str | None:
    """torchvision's name for a net; None where torchvision does not have it."""
    ours = replace(net, **_ANY)
    return next((name for name in VARIANTS if replace(named(name).resolved(), **_ANY) == ours), None)


def variant(net: NetConfig) -> str | None:
    """Return the published variant that `net.weights` names, as IMAGENET1K_V1; None where it is a path.

    Raises UserError where it is neither a file, a folder nor a name that this net has weights under.
    """
    weights, published = net.weights or "", net.begins_published
    if not published and Path(weights).expanduser().exists():
        return None
    name = net_of(net)
    if not published:
        names = f"; {name} has {', '.join((*PUBLISHED[:1], *VARIANTS[name]))}" if name else ""
        raise UserError(f"weights {weights!r}: no such file, nor the name of published weights{names}")
    if name is None:
        raise UserError(
            f"no weights are published for {net.without_weights().label}: allowed are a path, or"
            f" another net ({', '.join(VARIANTS)})"
        )
    if weights in PUBLISHED:
        return VARIANTS[name][-1]
    if weights not in VARIANTS[name]:
        raise unknown(f"weights of {name}", weights, (*PUBLISHED[:1], *VARIANTS[name]))
    return weights


def entry(net: NetConfig) -> "WeightsEnum | None":
    """torchvision's entry for `net.weights`: its address, classes and preprocessing; None for a path."""
    from torchvision.models import get_model_weights

    chosen = variant(net)
    return None if chosen is None else get_model_weights(str(net_of(net)))[chosen]


def fetch(weights: "WeightsEnum") -> "dict[str, Tensor]":
    """Return the state dict, from torch.hub's cache or the network, its SHA-256 compared with the address's suffix.

    Raises UserError where there is no network, or the file is not the published one.
    """
    from torch import hub

    name = Path(urlparse(weights.url).path).name
    file = Path(hub.get_dir()) / "checkpoints" / name
    if file.exists():  # torch.hub trusts whatever lies in its cache
        expected = file.stem.rpartition("-")[2]
        with file.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
        if not found.startswith(expected):
            raise UserError(f"{file} is damaged: its SHA-256 starts with {found[: len(expected)]}; delete it")
    try:
        with contextlib.redirect_stdout(sys.stderr):  # where its progress bar is already
            return weights.get_state_dict(
                progress=True, check_hash=True, weights_only=True, map_location="cpu"
            )
    except OSError as error:  # no network, no right to write, no space
        reason = getattr(error, "reason", None) or error.strerror or error
        raise UserError(
            f"cannot fetch {weights.url} to {file}: {reason}; without a network, put that file there"
        ) from None
    except RuntimeError as error:
        if "invalid hash" not in str(error):
            raise
        raise UserError(
            f"{weights.url} did not arrive as published ({error}): nothing was kept; try again"
        ) from None
