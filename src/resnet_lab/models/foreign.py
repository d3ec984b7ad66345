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
AVERAGED = ("ema_state_dict", "state_dict_ema", "model_ema", "ema", "ema_state", "params_ema")
CURRENT = (
    *("state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "params"),
    "student",
)
COUNTERS = ("n_averaged",)  # torch.optim.swa_utils counts among the weights


Rename = tuple[str, str | Callable[[re.Match[str]], str]]
START = r"(?:^|(?<=\.))"  # of a name, or of what a wrapper's prefix leaves of it


@dataclass(frozen=True)
class Dialect:
    """The names of some programs: a pattern that tells their files, and what each is here."""

    programs: str
    told_by: str
    names: tuple[Rename, ...]


def _shifted(template: str, by: int) -> Callable[[re.Match[str]], str]:
    """Return what fills a template with the number in a match, counted from another beginning."""
    return lambda match: template.format(int(match[1]) + by)


def _pycls(stem: str, first: int) -> tuple[Rename, ...]:
    """Return the names of pycls, whose stem and whose first stage are called so."""
    return (
        (rf"{START}{stem}\.conv\.", "conv1."),
        (rf"{START}{stem}\.bn\.", "bn1."),
        (rf"{START}s(\d)\.(?=b\d)", _shifted("layer{}.", 1 - first)),
        (r"(?<=layer\d\.)b(\d+)\.", _shifted("{}.", -1)),
        (r"\.proj\.", ".downsample.0."),
        (r"(layer\d\.\d+)\.bn\.", r"\1.downsample.1."),
        *((rf"\.f\.{letter}\.", f".conv{i}.") for i, letter in enumerate("abc", start=1)),
        *((rf"\.f\.{letter}_bn\.", f".bn{i}.") for i, letter in enumerate("abc", start=1)),
        (rf"{START}head\.fc\.", "fc."),
    )


DIALECTS = (
    Dialect("pycls", rf"{START}stem\.conv\.", _pycls("stem", 1)),
    Dialect("pycls of 2019", rf"{START}s1\.conv\.", _pycls("s1", 2)),
    Dialect(
        "Hugging Face",
        rf"{START}embedder\.embedder\.convolution\.",
        (
            (r"(?:resnet\.)?embedder\.embedder\.convolution\.", "conv1."),
            (r"(?:resnet\.)?embedder\.embedder\.normalization\.", "bn1."),
            (r"(?:resnet\.)?encoder\.stages\.(\d+)\.layers\.", _shifted("layer{}.", 1)),
            (r"\.layer\.(\d+)\.convolution\.", _shifted(".conv{}.", 1)),
            (r"\.layer\.(\d+)\.normalization\.", _shifted(".bn{}.", 1)),
            (r"\.shortcut\.convolution\.", ".downsample.0."),
            (r"\.shortcut\.normalization\.", ".downsample.1."),
            (rf"{START}classifier\.1\.", "fc."),
        ),
    ),
    Dialect(
        "MMPretrain",
        rf"{START}stem\.7\.|\.se_layer\.",
        (
            (rf"{START}stem\.7\.", "bn1."),
            (rf"{START}stem\.(?=[0-6]\.)", "conv1."),
            *((rf"\.se_layer\.conv{i}\.conv\.", f".attention.fc{i}.") for i in (1, 2)),
        ),
    ),
    Dialect(
        "kuangliu/pytorch-cifar, akamaster/pytorch_resnet_cifar10",
        rf"{START}linear\.|\.shortcut\.",
        ((rf"{START}linear\.", "fc."), (r"(layer\d+\.\d+)\.shortcut\.", r"\1.downsample.")),
    ),
    Dialect("timm", r"\.se\.fc\d\.", ((r"(layer\d+\.\d+)\.se\.", r"\1.attention."),)),
    Dialect(
        "weiaicunzai/pytorch-cifar100",
        rf"{START}conv2_x\.",
        (
            (rf"{START}conv1\.0\.", "conv1."),
            (rf"{START}conv1\.1\.", "bn1."),
            (rf"{START}conv(\d)_x\.", _shifted("layer{}.", -1)),
            *((rf"\.residual_function\.{3 * i}\.", f".conv{i + 1}.") for i in (0, 1, 2)),
            *((rf"\.residual_function\.{3 * i + 1}\.", f".bn{i + 1}.") for i in (0, 1, 2)),
            (r"\.shortcut\.", ".downsample."),
        ),
    ),
)
# The first part of a net's own names; what stands before it are wrappers.
_ROOT = re.compile(r"(?:^|\.)(?=(?:conv1|bn1|layer\d+|bn_last|fc)\.)")
_FIRST_STAGE = "layer1."
# What a classifier is called that lies beside a backbone, as in MMPretrain and many a LightningModule.
_HEAD = re.compile(rf"{START}(?:fc|linear|classifier|head)(?:\.\d+)?\.weight$")


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
    named = translated(named, source, tell)
    prefix = _prefix(list(named), source, tell)
    state = {}
    for name, value in named.items():
        if not name.startswith(prefix):  # a loss, a metric, a teacher
            continue
        if not isinstance(value, Tensor):
            raise UserError(f"{source} holds no state dict: {name!r} is {type(value).__name__}")
        state[name.removeprefix(prefix)] = value
    if not state:
        raise UserError(f"{source} holds no state dict")
    return state | _head_beside(named, prefix, state, source, tell)


def translated(named: dict[str, Any], source: str, tell: Callable[[str], None]) -> dict[str, Any]:
    """Entries under the names they have here; 1x1 convolutions of pooled maps as the linear layers they are."""
    for dialect in DIALECTS:
        if not any(re.search(dialect.told_by, name) for name in named):
            continue
        for pattern, ours in dialect.names:
            named = {re.sub(pattern, ours, name): value for name, value in named.items()}
        if dialect.programs.startswith("pycls"):
            named = {name: _as_rgb(name, value, source, tell) for name, value in named.items()}
    return {
        name: value.flatten(1) if ".attention." in name and getattr(value, "ndim", 0) == 4 else value
        for name, value in named.items()
    }


def _as_rgb(name: str, value: Any, source: str, tell: Callable[[str], None]) -> Any:
    """Return the stem of an ImageNet net of pycls for images in RGB; pycls reads them with OpenCV, in BGR."""
    if not name.endswith("conv1.weight") or getattr(value, "shape", ())[1:] != (3, 7, 7):
        return value
    tell(f"{source}: pycls reads ImageNet's images as BGR: its first filters are turned to RGB")
    return value.flip(1)


def _head_beside(
    named: dict[str, Any], prefix: str, state: State, source: str, tell: Callable[[str], None]
) -> State:
    """Return the one classifier that lies beside the net, as `fc`; nothing where the net has its own."""
    widths = [len(value) for name, value in state.items() if name.startswith("layer") and value.ndim == 4]
    if not prefix or not widths or any(name.startswith("fc.") for name in state):
        return {}
    found = [
        name.removesuffix("weight")
        for name, value in named.items()
        if _HEAD.search(name) and getattr(value, "shape", ())[1:] == (max(widths),)
    ]
    if len(found) != 1:
        return {}
    tell(f"{source}: taking {found[0]}* as the classifier of {prefix}*")
    return {f"fc.{name}": named[found[0] + name] for name in ("weight", "bias") if found[0] + name in named}


def unwrapped(found: Any, source: str, tell: Callable[[str], None]) -> Any:
    """What lies within the containers of a checkpoint, averaged weights first.

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
        names_found = " and ".join(f"{prefix}layer1" for prefix in nets)
        raise UserError(f"{source} holds several nets, under more than one prefix: {names_found}")
    return nets[0]


def _other(nets: list[str], taken: str) -> str:
    return next(prefix for prefix in nets if prefix != taken)
