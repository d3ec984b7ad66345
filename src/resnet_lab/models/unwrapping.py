"""The weights of a net in what a file holds: what training programs put around them, and before their names.

What other programs call them is known to an extra, `resnet_lab.models.foreign`.
"""

import re
import sys
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from resnet_lab.errors import UserError
from resnet_lab.extras import registered

State = dict[str, Tensor]
EXTRA = "weights of other programs"  # the kind of what an extra registers

# Where training programs put the weights within what they save. Averaged ones are those that they test.
AVERAGED = ("ema_state_dict", "state_dict_ema", "model_ema", "ema", "ema_state", "params_ema")
CURRENT = (
    *("state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "params"),
    "student",
)
COUNTERS = ("n_averaged",)  # torch.optim.swa_utils counts among the weights
# The first part of a net's own names; what stands before it are wrappers.
_ROOT = re.compile(r"(?:^|\.)(?=(?:conv1|bn1|layer\d+|bn_last|fc)\.)")


def weights_in(found: Any, source: str) -> State:
    """Return the weights of the one net in what a file holds, under the net's own names here.

    A line on stderr says where there was a choice. Raises UserError where there is no state dict, or more than one net.
    """
    found = unwrapped(found, source)
    named = {
        str(name).replace("_orig_mod.", ""): value
        for name, value in (found.items() if isinstance(found, Mapping) else ())
        if str(name).rpartition(".")[2] not in COUNTERS
    }
    programs = [program() for program in registered(EXTRA).values()]
    for program in programs:
        named = program.translated(named, source)
    prefix = _prefix(list(named), source)
    state = {}
    for name, value in named.items():
        if not name.startswith(prefix):  # a loss, a metric, a teacher
            continue
        if not isinstance(value, Tensor):
            raise UserError(f"{source} holds no state dict: {name!r} is {type(value).__name__}")
        state[name.removeprefix(prefix)] = value
    if not state:
        raise UserError(f"{source} holds no state dict")
    for program in programs:
        state |= program.classifier_beside(named, prefix, state, source)
    return state


def tell(line: str) -> None:
    print(f"resnet-lab: {line}", file=sys.stderr)


def unwrapped(found: Any, source: str) -> Any:
    """Return what lies within the containers of a checkpoint, averaged weights first.

    Raises UserError for several state dicts under names that say nothing.
    """
    while True:
        averaged, current = ([key for key in keys if _holds(found, key)] for keys in (AVERAGED, CURRENT))
        unknown = [] if averaged + current else _states(found)
        if not averaged + current + unknown:
            return found
        if len(unknown) > 1:
            raise UserError(f"{source} holds several state dicts: {', '.join(unknown)}; save one alone")
        taken = (averaged + current or unknown)[0]
        if averaged and current:
            tell(f"{source}: taking the averaged weights ({taken}), not {current[0]}")
        elif taken == "student" and "teacher" in found:
            tell(f"{source}: taking {taken}, not teacher")
        found = found[taken]


def _holds(found: Any, key: str) -> bool:
    inner = found.get(key) if isinstance(found, Mapping) else None
    return isinstance(inner, Mapping) and any(isinstance(value, Tensor | Mapping) for value in inner.values())


def _states(found: Any) -> list[str]:
    """Return the keys of a mapping without tensors of its own under which state dicts lie."""
    if not isinstance(found, Mapping) or any(isinstance(value, Tensor) for value in found.values()):
        return []
    return [
        key
        for key, inner in found.items()
        if isinstance(inner, Mapping)
        and any(isinstance(value, Tensor) and "." in str(name) for name, value in inner.items())
    ]


def _prefix(names: list[str], source: str) -> str:
    """Return what wrappers (DDP, a LightningModule) put before the names of the one net that is there."""
    roots = [(name[: match.end()], name[match.end() :]) for name in names if (match := _ROOT.search(name))]
    nets = sorted({prefix for prefix, rest in roots if rest.startswith("layer1.")})
    if not nets:  # of another kind: take off what all names share
        shared = re.match(r"(?:module\.)+", names[0]) if names else None
        return shared[0] if shared and all(name.startswith(shared[0]) for name in names) else ""
    averaged = [prefix for prefix in nets if re.search(r"(?:^|[._])(?:ema|averaged?)(?:[._]|$)", prefix)]
    if len(nets) > 1 and len(averaged) == 1:
        other = next(prefix for prefix in nets if prefix != averaged[0])
        tell(f"{source}: taking the averaged weights ({averaged[0]}*), not {other}*")
        return averaged[0]
    if len(nets) > 1:
        names_found = " and ".join(f"{prefix}layer1" for prefix in nets)
        raise UserError(f"{source} holds several nets, under more than one prefix: {names_found}")
    return nets[0]
