"""What a configuration names of the user's by a dotted path: what it may be, and which code that is.

Free of torch, as far as what is named is.
"""

import hashlib
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate

from resnet_lab.config.schema import TrainConfig
from resnet_lab.errors import UserError
from resnet_lab.fields import Leaf, flatten, leaves
from resnet_lab.models.net_config import NetConfig
from resnet_lab.models.stored import weights_in_run
from resnet_lab.targets import digest, locate, own_sources, run_folder_of

# What Hydra lets pass, and no configuration shall reach: what starts programs, or reads code from a file or fetches it.
# fmt: off
REFUSED = (
    "torchvision.models.feature_extraction",
    "torch.hub", "torch.serialization", "torch.package", "torch.jit", "torch._ops", "torch.multiprocessing",
    "torch.utils.cpp_extension", "torch.utils.model_zoo", "torch.utils.collect_env", "torch.utils.bottleneck",
    "torch.utils.hipify", "torch.utils.show_pickle", "torch.onnx", "torch.export", "torch.testing._internal",
    "torch.distributed.run", "torch.distributed.launch", "torch.distributed.launcher", "torch.distributed.rpc",
    "torch.distributed.elastic", "torch.distributed.checkpoint", "torch._inductor", "torch._dynamo",
    "lightning.fabric.strategies", "lightning.fabric.cli", "lightning.fabric.utilities.cloud_io", "lightning.app",
    "lightning.pytorch.cli", "lightning.pytorch.strategies", "lightning.pytorch.core.saving",
    "numpy.load", "numpy.lib", "numpy.f2py", "numpy.testing", "numpy.ctypeslib", "numpy.distutils",
    "hydra", "hydra_plugins", "omegaconf", "joblib", "pandas", "sympy", "pip", "setuptools", "pkg_resources",
    "cloudpickle", "dill", "submitit", "ray", "wandb", "git", "psutil", "IPython", "pytest", "yaml",
    "matplotlib", "PIL.ImageShow", "PIL.ImageGrab", "PIL.EpsImagePlugin", "triton", "fsspec", "cffi",
    "resnet_lab.cli", "resnet_lab.config", "resnet_lab.runs", "resnet_lab.report", "resnet_lab.share",
    "resnet_lab.sweeps", "resnet_lab.tracking", "resnet_lab.trained", "resnet_lab.template", "resnet_lab.api",
    "resnet_lab.files", "resnet_lab.streams", "resnet_lab.targets",
)
# fmt: on
# The keys whose values may be the path of weights or of another file, or begin the keys whose values may be.
NAMING_FILES = ("model.weights", "model.args.", "recipe.loss_args.", "module.args.", "callbacks.extra.")
STANDARD = ("builtins", "collections", "datetime", "pathlib")
# What a file may name: parts of these kinds, from these modules; plain functions of the last two, and our own by name.
FILES_MAY_NAME = (
    *(
        "torch.nn",
        "torch.optim",
        "torchvision.models",
        "torchvision.ops",
        "torchvision.transforms",
        "lightning.pytorch.callbacks",
    ),
    *(
        f"torchmetrics.{each}"
        for each in ("classification", "regression", "aggregation", "collections", "wrappers")
    ),
)
PLAIN = "resnet_lab.models.blocks.Block"  # a value, not a class: what model.block names
KINDS = (
    *(PLAIN, "resnet_lab.models.shortcuts.Shortcut", "resnet_lab.models.orders.Order"),
    *("torch.nn.modules.module.Module", "torch.optim.optimizer.Optimizer", "torchmetrics.metric.Metric"),
    *("torchmetrics.collections.MetricCollection", "lightning.pytorch.callbacks.callback.Callback"),
)
FUNCTIONS = ("torch.nn.functional", "torchvision.models")
OURS = ("resnet_lab.models.create_model",)


def authorised(path: str, key: str) -> Any:
    """Return the class or function that a dotted path names; nothing is called.

    Hydra's rule is asked before anything is imported, and of what the name turns out to be; then a stricter one.
    Raises UserError, which names the configuration's `key`, for what is refused, cannot be imported, is not there
    or is no callable.
    """
    try:
        with warnings.catch_warnings():  # Hydra warns of what is refused below
            warnings.simplefilter("ignore")
            instantiate({"_target_": path, "_partial_": True})
    except InstantiationException as error:
        # Not for want of the target: for what it is. What cannot be called is told below.
        if error.__cause__ is None and "callable target" not in str(error):
            reason = " ".join(str(error).split())
            raise UserError(f"{key}={path} is refused: {reason}") from None
    except SystemExit:  # of the code of a module, which `locate` meets again and tells
        pass
    found = locate(path, key)
    if not callable(found) and not _is_plain(found):
        raise UserError(f"{key}={path} cannot be called: it is {type(found).__name__}")
    if not _is_harmless(found):
        raise UserError(f"{key}={path} is refused: it could run code that is not part of the configuration")
    return found


def _is_plain(target: Any) -> bool:
    return f"{type(target).__module__}.{type(target).__qualname__}" == PLAIN


def _is_harmless(target: Any) -> bool:
    module = _module_of(target)
    if module.partition(".")[0] in sys.stdlib_module_names:
        return module == "math" or (module in STANDARD and isinstance(target, type))
    name = f"{module}.{getattr(target, '__qualname__', '')}"
    return not (_is_below(module, REFUSED) or _is_below(name, REFUSED))


def _module_of(target: Any) -> str:
    return str(getattr(target, "__module__", None) or type(target).__module__)


def _is_below(name: str, modules: Iterable[str]) -> bool:
    return any(f"{name}.".startswith(f"{each}.") for each in modules)


def check_from_file(
    config: Any, sources: Mapping[str, str], prefix: str, where: object, *, trust: bool = False
) -> None:
    """Raise UserError where a configuration that was read from a file names what a stranger's file may not name.

    A file may name the parts of PyTorch, torchvision, torchmetrics and Lightning that nets and metrics are made of,
    and what lies in the user's own project, in no run folder: whatever has its digest in `sources`, and classes of
    KINDS. `trust` allows whatever the user could type. Nothing is imported before its digest was compared.
    """
    for leaf in targets(config, prefix):
        key, path = leaf.key, leaf.value
        if files := own_sources(path):
            if folder := run_folder_of(files):
                raise UserError(
                    f"{where}: {key}={path} lies in the run folder {folder}: code is never taken from there"
                )
            if path in sources and digest(files) != sources[path]:
                raise UserError(f"{where}: the code of {path} was edited since, and is not what it was")
        if not trust:
            if not files and not _is_below(path, (*FILES_MAY_NAME, *OURS, "torchmetrics")):
                raise _untrusted(where, key, path)  # it is not even imported
            target = locate(path, key)
            own = _module_of(target) in files and (path in sources or _is_of_a_kind(target))
            own = own or (bool(files) and _is_plain(target))
            if not (own or path in OURS or _is_part(path, target)):
                raise _untrusted(where, key, path)
        authorised(path, key)


def _untrusted(where: object, key: str, path: str) -> UserError:
    return UserError(
        f"{where}: {key}={path} is neither a part that any file may name nor of your own project: --trust allows it,"
        " if you know where the file comes from"
    )


def _is_of_a_kind(target: Any) -> bool:
    return any(f"{each.__module__}.{each.__qualname__}" in KINDS for each in getattr(target, "__mro__", ()))


def _is_part(path: str, target: Any) -> bool:
    """Return whether it is a public class of one of KINDS, or a public function, from a module that files may name."""
    module = _module_of(target)
    if any(part.startswith("_") for part in path.split(".")) or not _is_harmless(target):
        return False
    if isinstance(target, type):
        return _is_below(module, FILES_MAY_NAME) and _is_of_a_kind(target)
    return (
        isinstance(target, FunctionType) and _is_below(module, FUNCTIONS) and "." not in target.__qualname__
    )


def targets(config: Any, prefix: str = "") -> Iterator[Leaf]:
    """Yield every leaf that names a dotted path, of a configuration or a part of it at `prefix`; in lists, too."""
    for leaf in leaves(config, prefix):
        yield from _targets_of(leaf)


def _targets_of(leaf: Leaf) -> Iterator[Leaf]:
    if isinstance(leaf.value, list):
        inner = {str(index): value for index, value in enumerate(leaf.value)}
        for each in leaves(inner, f"{leaf.key}.", affects_result=leaf.affects_result):
            yield from _targets_of(each)
    elif leaf.key.rpartition(".")[2] == "_target_":
        if leaf.value or leaf.field is None:
            yield leaf._replace(value=str(leaf.value))
    elif leaf.field is not None and leaf.field.metadata.get("own") and "." in str(leaf.value):
        yield leaf


def authorise(config: Any, prefix: str = "") -> None:
    """Raise UserError for a target of a configuration, or of a part of it at `prefix`, that may not be named."""
    for leaf in targets(config, prefix):
        authorised(leaf.value, leaf.key)


def with_sources(config: TrainConfig) -> TrainConfig:
    """Return the configuration with a digest of the the user's code that each target comes from: edited, another run.

    Raises UserError for a target that may not be named or is not there.
    """
    return replace(config, sources=sources_of(config))


def check_sources(config: TrainConfig) -> None:
    """Raise UserError where a run's own code is no longer that of its configuration, or may not be named.

    Code is compared before it is imported.
    """
    for key, found in contents_of(config).items():
        if found != config.sources.get(key):
            raise UserError(
                f"{key} names other weights than when this run was made; the same command now makes another run"
                " of them"
            )
    for leaf in targets(config):
        if not leaf.affects_result:
            continue
        key, path = leaf.key, leaf.value
        files = own_sources(path)
        if files and digest(files) != config.sources.get(path):
            raise UserError(
                f"the code of {path} was edited since this run was made: the command that made it makes another run"
                " of the new code; with the old code, this one goes on"
            )
        if folder := run_folder_of(files, root=False):
            raise UserError(f"{key}={path} lies in the run folder {folder}: code is never taken from there")
    sources_of(config)


def sources_of(config: Any, prefix: str = "") -> dict[str, str]:
    """Return the digest of the user's code behind each dotted path of a configuration, or of a part of it at `prefix`.

    Raises UserError for a target that may not be named or is not there.
    """
    authorise(config, prefix)
    found = contents_of(config)
    for leaf in targets(config, prefix):
        if leaf.affects_result and (files := own_sources(leaf.value)):
            found[leaf.value] = digest(files)
    return found


def contents_of(config: Any) -> dict[str, str]:
    """Return a digest of each file, or of the weights of each run folder, that the configuration names by its path.

    By key. What is there makes the run, wherever it lies: a path of the same content is no other choice.
    """
    found = {}
    for key, value in flatten(config, local=False).items() if isinstance(config, TrainConfig) else ():
        if key.startswith(NAMING_FILES) and isinstance(value, str) and not is_published(config.model, key):
            path = Path(value).expanduser()
            if path.is_dir():
                path = next(iter(weights_in_run(path)), path)
            if path.suffix and path.is_file():
                stat = path.stat()
                found[key] = _content(path, stat.st_mtime_ns, stat.st_size)
    return found


def is_published(model: NetConfig, key: str) -> bool:
    return key == "model.weights" and model.begins_published


@cache
def _content(path: Path, changed: int, size: int) -> str:  # noqa: ARG001 (a file is read again when it has changed)
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()[:8]
