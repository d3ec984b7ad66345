"""What net a state dict is of, as far as its names and shapes tell."""

import re
from collections.abc import Mapping
from typing import Any

from resnet_lab.models import blocks
from resnet_lab.models.description import value_text
from resnet_lab.models.plans import FAMILIES, STEM_STRIDES
from resnet_lab.models.unwrapping import State

Facts = Mapping[str, Any]  # fields of a description


def difference(state: State, own: State) -> str:
    """Return how the net of a file differs from the one that it was given to, as what to type; empty: nothing is known.

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
    return f"it belongs to a residual network that no model=… here builds: {facts}"


def recognised(state: State) -> Facts:
    """Return the fields of a description that a state dict shows, by our names; empty if it is of no such net.

    Padded shortcuts and none look alike, and so do orders that normalise at one place: those are not recognised.
    """
    units = _units(state)
    stem = next((name for name in ("conv1.weight", "conv1.6.weight") if name in state), None)
    first = [state[name] for i in range(1, 9) if (name := f"layer1.0.conv{i}.weight") in state]
    if not units or stem is None or not first or any(weight.ndim != 4 for weight in first):
        return {}
    kernels = tuple(weight.shape[-1] for weight in first)
    attention = "layer1.0.attention.fc1.weight" in state
    names = [name for name in blocks.names() if blocks.load(name).kernels == kernels]
    shortcut = _shortcut(state, units)
    # Such a projection into the first stage is a wide net's, and counted in its depth.
    wide = kernels == (3, 3) and shortcut == "B" and "layer1.0.downsample.0.weight" in state
    inner = next((weight for weight in first if weight.shape[-1] > 1), first[0])
    # The first unit normalises for itself, and the stem does not.
    bare = "bn1.weight" not in state and "layer1.0.bn1.weight" in state
    pooled = any(name.endswith(".downsample.1.weight") and value.ndim == 4 for name, value in state.items())
    norms = any(name.endswith("running_mean") for name in state)
    side, width = state[stem].shape[-1], len(state[stem])
    return {
        "family": {3: "wide" if wide else "cifar", 4: "imagenet"}.get(len(units)),
        "depth": sum(units) * len(kernels) + (4 if wide else 2),
        "block": next((name for name in names if bool(blocks.load(name).attention) == attention), None),
        "shortcut": shortcut,
        "downsample": "pool" if pooled else "conv",
        "stem": "deep" if "6" in stem else f"{side}x{side}",
        "width": width,
        "width_factor": len(inner) / width,
        "groups": len(inner) // inner.shape[1] if kernels[0] == 1 != inner.shape[-1] else 1,
        # Neither norms nor the biases of a net without: as with group norm.
        "batch_norm": True if norms else False if "layer1.0.conv1.bias" in state else None,
        "order": "full_preactivation" if "bn_last.weight" in state else None if bare else "original",
        "shared_preactivation": "projections" if bare else None,
    }


def _is_described(theirs: Facts) -> bool:
    """Return whether there is a description of such a net: a stem, a block and a depth that its family has."""
    if theirs["family"] is None or theirs["block"] is None or theirs["stem"] not in STEM_STRIDES:
        return False
    family, layers = FAMILIES[theirs["family"]], blocks.load(theirs["block"]).layers
    return theirs["batch_norm"] is not None and family.units(theirs["depth"], layers) is not None


def _units(state: State) -> list[int]:
    """Return the units of each stage."""
    found: dict[int, int] = {}
    for name in state:
        if match := re.match(r"layer(\d+)\.(\d+)\.", name):
            stage, unit = int(match[1]), int(match[2])
            found[stage] = max(found.get(stage, 0), unit + 1)
    return [found[stage] for stage in sorted(found)]


def _shortcut(state: State, units: list[int]) -> str:
    """Return A where no weights tell another; one gate is as the other."""
    if any(".downsample.gate." in name for name in state):
        return "exclusive_gating or shortcut_only_gating"
    weights = (re.match(r"(.*)\.downsample\.\d+\.weight", name) for name in state)
    projecting = {match[1] for match in weights if match}
    if not projecting:
        return "A"
    return "C" if len(projecting) == sum(units) > len(units) else "B"
