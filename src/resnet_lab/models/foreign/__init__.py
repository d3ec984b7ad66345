"""Other programs' files of weights: what they call them, as data. A further program is one more entry of `DIALECTS`."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from resnet_lab.models.foreign.recognise import difference
from resnet_lab.models.unwrapping import State, tell

__all__ = ["classifier_beside", "difference", "translated"]

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
# What a classifier is called that lies beside a backbone, as in MMPretrain and many a LightningModule.
_HEAD = re.compile(rf"{START}(?:fc|linear|classifier|head)(?:\.\d+)?\.weight$")


def translated(named: Mapping[str, Any], source: str) -> Mapping[str, Any]:
    """Entries under the names they have here; 1x1 convolutions of pooled maps as the linear layers they are."""
    named = dict(named)
    for dialect in DIALECTS:
        if not any(re.search(dialect.told_by, name) for name in named):
            continue
        for pattern, ours in dialect.names:
            named = {re.sub(pattern, ours, name): value for name, value in named.items()}
        if dialect.programs.startswith("pycls"):
            named = {name: _as_rgb(name, value, source) for name, value in named.items()}
    return {
        name: value.flatten(1) if ".attention." in name and getattr(value, "ndim", 0) == 4 else value
        for name, value in named.items()
    }


def _as_rgb(name: str, value: Any, source: str) -> Any:
    """Return the stem of an ImageNet net of pycls for images in RGB; pycls reads them with OpenCV, in BGR."""
    if not name.endswith("conv1.weight") or getattr(value, "shape", ())[1:] != (3, 7, 7):
        return value
    tell(f"{source}: pycls reads ImageNet's images as BGR: its first filters are turned to RGB")
    return value.flip(1)


def classifier_beside(named: Mapping[str, Any], prefix: str, state: State, source: str) -> State:
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
