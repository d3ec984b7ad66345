"""Other programs' files of weights: what they put around them, and what they call them.

A further program is one more entry of `DIALECTS`; nothing else knows their names.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from resnet_lab.errors import UserError

State = dict[str, Tensor]

# Where training programs put the weights within what they save. Averaged ones are those that they test.
AVERAGED = ("ema_state_dict", "state_dict_ema", "model_ema", "ema")
CURRENT = ("state_dict", "model_state_dict", "model", "net", "module")
COUNTERS = ("n_averaged",)  # torch.optim.swa_utils counts among the weights


@dataclass(frozen=True)
class Dialect:
    """The names of some programs: a pattern that tells their files, and what each is here."""

    programs: str
    told_by: str
    names: tuple[tuple[str, str], ...]


DIALECTS = (
    Dialect(
        "kuangliu/pytorch-cifar, akamaster/pytorch_resnet_cifar10",
        r"^linear\.|\.shortcut\.",
        ((r"^linear\.", "fc."), (r"^(layer\d+\.\d+)\.shortcut\.", r"\1.downsample.")),
    ),
    Dialect("timm", r"\.se\.fc\d\.", ((r"^(layer\d+\.\d+)\.se\.", r"\1.attention."),)),
    Dialect(
        "weiaicunzai/pytorch-cifar100",
        r"^conv2_x\.",
        (
            (r"^conv1\.0\.", "conv1."),
            (r"^conv1\.1\.", "bn1."),
            *((rf"^conv{stage + 1}_x\.", f"layer{stage}.") for stage in (1, 2, 3, 4)),
            *((rf"\.residual_function\.{3 * i}\.", f".conv{i + 1}.") for i in (0, 1, 2)),
            *((rf"\.residual_function\.{3 * i + 1}\.", f".bn{i + 1}.") for i in (0, 1, 2)),
            (r"\.shortcut\.", ".downsample."),
        ),
    ),
)
# The first part of a net's own names, here or in a dialect; what stands before it are wrappers.
_ROOT = re.compile(r"(?:^|\.)(?=(?:conv1|bn1|layer\d+|conv\d_x|bn_last|fc|linear)\.)")
_FIRST_STAGE = ("layer1.", "conv2_x.")


def weights_in(found: Any, source: str, tell: Callable[[str], None]) -> State:
    """The weights of the one net in what a file holds, under the net's own names here.

    `tell` gets a line where there was a choice. Raises UserError where there is no state dict, or more than one net.
    """
    found = unwrapped(found, source, tell)
    named = {
        str(name).replace("_orig_mod.", ""): value
        for name, value in (found.items() if isinstance(found, Mapping) else ())
        if str(name).rpartition(".")[2] not in COUNTERS
    }
    state = {}
    prefix = _prefix(list(named), source, tell)
    for name, value in named.items():
        if not name.startswith(prefix):  # a loss, a metric, a teacher
            continue
        if not isinstance(value, Tensor):
            raise UserError(f"{source} holds no state dict: {name!r} is {type(value).__name__}")
        state[name.removeprefix(prefix)] = value
    if not state:
        raise UserError(f"{source} holds no state dict")
    return translated(state)


def translated(state: State) -> State:
    """Entries under the names they have here; 1x1 convolutions of pooled maps as the linear layers they are."""
    for dialect in DIALECTS:
        if any(re.search(dialect.told_by, name) for name in state):
            for pattern, ours in dialect.names:
                state = {re.sub(pattern, ours, name): value for name, value in state.items()}
    return {
        name: value.flatten(1) if ".attention." in name and value.ndim == 4 else value
        for name, value in state.items()
    }


def unwrapped(found: Any, source: str, tell: Callable[[str], None]) -> Any:
    """What lies within the containers of a checkpoint, averaged weights first."""
    while True:
        averaged, current = ([key for key in keys if _holds(found, key)] for keys in (AVERAGED, CURRENT))
        if not averaged + current:
            return found
        taken = (averaged + current)[0]
        if averaged and current:
            tell(f"{source}: taking the averaged weights ({taken}), not {current[0]}")
        found = found[taken]


def _holds(found: Any, key: str) -> bool:
    inner = found.get(key) if isinstance(found, Mapping) else None
    return isinstance(inner, Mapping) and any(isinstance(value, Tensor | Mapping) for value in inner.values())


def _prefix(names: list[str], source: str, tell: Callable[[str], None]) -> str:
    """What wrappers (DDP, a LightningModule) put before the names of the one net that is there."""
    roots = [(name[: match.end()], name[match.end() :]) for name in names if (match := _ROOT.search(name))]
    nets = sorted({prefix for prefix, rest in roots if rest.startswith(_FIRST_STAGE)})
    if not nets:  # of another kind: take off what all names share
        shared = re.match(r"(?:module\.)+", names[0]) if names else None
        return shared[0] if shared and all(name.startswith(shared[0]) for name in names) else ""
    averaged = [prefix for prefix in nets if re.search(r"(?:^|[._])(?:ema|averaged?)(?:[._]|$)", prefix)]
    if len(nets) > 1 and len(averaged) == 1:
        tell(f"{source}: taking the averaged weights ({averaged[0]}*), not {_other(nets, averaged[0])}*")
        return averaged[0]
    if len(nets) > 1:
        told = " and ".join(f"{prefix}layer1" for prefix in nets)
        raise UserError(f"{source} holds several nets, under more than one prefix: {told}")
    return nets[0]


def _other(nets: list[str], taken: str) -> str:
    return next(prefix for prefix in nets if prefix != taken)
