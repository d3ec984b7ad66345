"""What a configuration names of somebody's own by a dotted path: what it may be, and which code that is.

Free of torch, as far as what is named is.
"""

import hashlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate

from resnet_lab.config.identity import flatten
from resnet_lab.config.schema import TrainConfig
from resnet_lab.errors import UserError
from resnet_lab.targets import digest, locate, own_sources

# What Hydra lets pass, and a configuration from elsewhere, as that of a file of weights, shall not reach: code that is
# read from a file or fetched, and the standard library but for functions of math and classes that hold values.
FROM_FILES = (
    *(
        "torch.hub",
        "torch.serialization",
        "torch.package",
        "torch.jit",
        "torch.utils.cpp_extension",
        "torch._ops",
    ),
    *(
        "torch.utils.model_zoo",
        "torch.distributed.run",
        "torch.distributed.launch",
        "numpy.load",
        "numpy.lib",
    ),
    *("hydra", "joblib", "pandas", "sympy", "pip", "setuptools"),
)
NAMING_WEIGHTS = ("recipe.loss_args.", "module.args.")  # the keys whose values may be a teacher's path
WEIGHTS = (".safetensors", ".pt", ".pth", ".ckpt", ".bin")
STANDARD = ("builtins", "collections", "datetime", "pathlib")


def authorised(path: str, key: str) -> Any:
    """The class or function that a dotted path names; nothing is called.

    Hydra's rule is asked before anything is imported, and of what the name turns out to be; then a stricter one.
    Raises UserError, which names the configuration's `key`, for what is refused, cannot be imported, is not there
    or is no callable.
    """
    try:
        instantiate({"_target_": path, "_partial_": True})
    except InstantiationException as error:
        if error.__cause__ is None:  # not for want of the target: for what it is
            reason = " ".join(str(error).split())
            raise UserError(f"{key}={path} is refused: {reason}") from None
    found = locate(path, key)
    if not callable(found):
        raise UserError(f"{key}={path} cannot be called: it is {type(found).__name__}")
    if not _is_harmless(found):
        raise UserError(f"{key}={path} is refused: it could run what is no part of a configuration")
    return found


def _is_harmless(target: Any) -> bool:
    module = str(getattr(target, "__module__", None) or type(target).__module__)
    if module.partition(".")[0] in sys.stdlib_module_names:
        return module == "math" or (module in STANDARD and isinstance(target, type))
    names = (module, f"{module}.{getattr(target, '__qualname__', '')}")
    return not any(f"{name}.".startswith(f"{each}.") for name in names for each in FROM_FILES)


def targets_of(config: TrainConfig) -> dict[str, str]:
    """Every dotted path that a configuration names, by its key."""
    return dict(_targets(config, "", local=True))


def _targets(config: Any, prefix: str, *, local: bool) -> Iterator[tuple[str, str]]:
    """`local` False: without those that change no result."""
    for each in fields(config):
        key, value = f"{prefix}{each.name}", getattr(config, each.name)
        if not local and not each.metadata.get("identity", True):
            continue
        if is_dataclass(value):
            yield from _targets(value, f"{key}.", local=local)
        elif isinstance(value, Mapping | list):
            yield from _targets_within(value, f"{key}.", local=local)
        elif (each.metadata.get("own") and "." in str(value)) or (each.name == "_target_" and value):
            yield key, value


def _targets_within(values: Any, prefix: str, *, local: bool) -> Iterator[tuple[str, str]]:
    """Those of a dictionary of any keys, or of a list, at any depth: {_target_: a.dotted.Path, …}."""
    for name, value in values.items() if isinstance(values, Mapping) else enumerate(values):
        if name == "_target_":
            yield f"{prefix}{name}", str(value)
        elif isinstance(value, list) or (
            isinstance(value, Mapping) and (local or value.get("identity") is not False)
        ):
            yield from _targets_within(value, f"{prefix}{name}.", local=local)


def authorise_within(values: Mapping[str, Any], prefix: str) -> None:
    """The same of every target in a dictionary of any keys, which lies at `prefix`."""
    for key, path in _targets_within(values, prefix, local=True):
        authorised(path, key)


def with_sources(config: TrainConfig) -> TrainConfig:
    """The configuration with a digest of the code of one's own that each target comes from: edited, another run.

    Raises UserError for a target that may not be named or is not there.
    """
    return replace(config, sources=sources_of(config))


def check_sources(config: TrainConfig) -> None:
    """Raises UserError where a run's own code is no longer that of its configuration, or may not be named."""
    for path, found in sources_of(config).items():
        if found != config.sources.get(path) and path in contents_of(config):
            raise UserError(
                f"{path} names other weights than when this run was made: the command that made it makes another run"
                " of them"
            )
        if found != config.sources.get(path):
            raise UserError(
                f"the code of {path} was edited since this run was made: the command that made it makes another run"
                " of the new code; with the old code, this one goes on"
            )


def sources_of(config: Any, prefix: str = "") -> dict[str, str]:
    """The digest of one's own code behind each dotted path of a configuration, or of a part of it at `prefix`.

    Raises UserError for a target that may not be named or is not there.
    """
    for key, path in _targets(config, prefix, local=True):
        authorised(path, key)
    found = contents_of(config)
    for key, path in _targets(config, prefix, local=False):
        if files := own_sources(path, key):
            found[path] = digest(files)
    return found


def contents_of(config: Any) -> dict[str, str]:
    """The digest of the weights that an argument of a loss or a module names by their path, by its key.

    What is there makes the run, wherever it lies: a path of the same content is no other choice.
    """
    found = {}
    for key, value in flatten(config, local=False).items() if isinstance(config, TrainConfig) else ():
        if key.startswith(NAMING_WEIGHTS) and isinstance(value, str) and value:
            path = Path(value).expanduser()
            file = path / "weights.safetensors" if path.is_dir() else path
            if file.suffix in WEIGHTS and file.is_file():
                with file.open("rb") as content:
                    found[key] = hashlib.file_digest(content, "sha256").hexdigest()[:8]
    return found
