"""What net a state dict is of, as far as its names and shapes tell."""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from resnet_lab.models import blocks
from resnet_lab.models.description import value_text
from resnet_lab.models.plans import FAMILIES, STEM_STRIDES
from resnet_lab.models.unwrapping import State

Facts = Mapping[str, Any]  # fields of a description


def recognised(state: State) -> Facts:
    """The fields of a description that a state dict tells, under the names used here; empty: no net of this kind.

    Padded shortcuts and none look alike, and so do orders that normalise at one place: those are not recognised.
    """
    units = _units(state)
    stem = next((name for name in ("conv1.weight", "conv1.6.weight") if name in state), None)
    kernels = _kernels(state, "layer1.0")
    if not units or stem is None or not kernels:
        return {}
    attention = "layer1.0.attention.fc1.weight" in state
    names = [name for name in blocks.names() if blocks.load(name).kernels == kernels]
    block = next((name for name in names if bool(blocks.load(name).attention) == attention), None)
    width = len(state[stem])
    shortcut = _shortcut(state, units)
    # Such a projection into the first stage is a wide net's, and counted in its depth.
    wide = kernels == (3, 3) and shortcut == "B" and "layer1.0.downsample.0.weight" in state
    widest = next((i for i, kernel in enumerate(kernels, 1) if kernel > 1), 1)
    inner = state[f"layer1.0.conv{widest}.weight"]
    bare = (
        "bn1.weight" not in state and "layer1.0.bn1.weight" in state
    )  # the first unit normalises for itself
    last = "bn_last.weight" in state
    return {
        "family": {3: "wide" if wide else "cifar", 4: "imagenet"}.get(len(units)),
        "depth": sum(units) * len(kernels) + (4 if wide else 2),
        "block": block,
        "shortcut": shortcut,
        "downsample": "pool" if any(_is_pooled(name, value) for name, value in state.items()) else "conv",
        "stem": "deep" if "6" in stem else f"{state[stem].shape[-1]}x{state[stem].shape[-1]}",
        "width": width,
        "width_factor": len(inner) / width,
        "groups": len(inner) // inner.shape[1] if widest > 1 else 1,
        "batch_norm": _batch_norm(state),
        "order": "full_preactivation" if last else None if bare else "original",
        "shared_preactivation": "projections" if bare else None,
    }


def difference(state: State, own: State) -> str:
    """How the net of a file differs from the one that it was given to, as what to type; empty: nothing is known.

    A net that no description makes is shown by its facts.
    """
    theirs, ours = recognised(state), recognised(own)
    different = {key: value for key, value in theirs.items() if value is not None and value != ours.get(key)}
    if not different:
        return ""
    if _is_described(theirs):
        typed = " ".join(f"model.{key}={value_text(value)}" for key, value in different.items())
        return f"it seems to be of {typed}"
    facts = ", ".join(f"{key} {value_text(value)}" for key, value in different.items() if key != "family")
    return f"it is of a residual net that no model=… here makes: {facts}"


def _is_described(theirs: Facts) -> bool:
    """Whether there is a description of such a net: a stem, a block and a depth that its family has."""
    if theirs["family"] is None or theirs["block"] is None or theirs["stem"] not in STEM_STRIDES:
        return False
    family, layers = FAMILIES[theirs["family"]], blocks.load(theirs["block"]).layers
    return theirs["batch_norm"] is not None and family.units(theirs["depth"], layers) is not None


def _is_pooled(name: str, value: Tensor) -> bool:
    """Whether this is the convolution after an average pooling."""
    return name.endswith(".downsample.1.weight") and value.ndim == 4


def _batch_norm(state: State) -> bool | None:
    """Whether it has batch norm; None: it has neither that nor the biases of a net without, as with group norm."""
    if any(name.endswith("running_mean") for name in state):
        return True
    return False if "layer1.0.conv1.bias" in state else None


def _units(state: State) -> list[int]:
    """Units of each stage."""
    found: dict[int, int] = {}
    for name in state:
        if match := re.match(r"layer(\d+)\.(\d+)\.", name):
            stage, unit = int(match[1]), int(match[2])
            found[stage] = max(found.get(stage, 0), unit + 1)
    return [found[stage] for stage in sorted(found)]


def _kernels(state: State, unit: str) -> tuple[int, ...]:
    """Sides of the kernels of a unit's convolutions, in order."""
    found: list[int] = []
    while (weight := state.get(f"{unit}.conv{len(found) + 1}.weight")) is not None and weight.ndim == 4:
        found.append(weight.shape[-1])
    return tuple(found)


def _shortcut(state: State, units: list[int]) -> str | None:
    """B, C, a gate, or None where no weights tell it."""
    with_weights = {
        name.split(".downsample")[0] for name in state if re.search(r"\.downsample\.\d+\.weight", name)
    }
    if any(".downsample.gate." in name for name in state):
        return "exclusive_gating or shortcut_only_gating"
    if not with_weights:
        return "A"
    return "C" if len(with_weights) == sum(units) > len(units) else "B"
