"""A class or function of the user's by its dotted path: how it is found, and which files it comes from.

Standard library only. Which targets a configuration may name at all is `resnet_lab.config.own_code`' business.
"""

import ast
import contextlib
import hashlib
import inspect
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from functools import cache, partial
from importlib import import_module
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from resnet_lab.errors import UserError, nearest

Kind = TypeVar("Kind")


def locate(path: str, key: str) -> Any:
    """Return what a dotted path names, for example ``torch.optim.RAdam``; modules of the working folder are found too.

    Raises UserError, which names the configuration's `key`, where it cannot be imported or is not there.
    """
    module, rest = _imported(path, key)
    found: Any = module
    for depth, name in enumerate(rest):
        if not hasattr(found, name):
            where = ".".join([module.__name__, *rest[:depth]])
            close = nearest(name, [each for each in dir(found) if not each.startswith("_")])
            hint = f"; did you mean {where}.{close}?" if close else ""
            raise UserError(f"{key}={path}: {where} has no {name!r}{hint}")
        found = getattr(found, name)
    return found


def working_folder_last() -> None:
    """Look for modules in the working folder too, but last: its queue.py must not be taken for the standard library's.

    `python -m` looks there first and a console script not at all.
    """
    here = str(Path.cwd())
    if not sys.flags.safe_path and sys.path[:1] in ([""], [here]):
        del sys.path[0]
    if here not in sys.path:
        sys.path.append(here)


def located(path: str, key: str, kind: type[Kind]) -> type[Kind]:
    """Return the subclass of `kind` that a dotted path names. Raises UserError for anything else, as `locate` does."""
    found = locate(path, key)
    if isinstance(found, type) and issubclass(found, kind):
        return found
    raise UserError(
        f"{key}={path} is {type(found).__name__}: a subclass of {kind.__module__}.{kind.__name__} is needed"
    )


def called(what: str, target: Any, /, *arguments: Any, **named: Any) -> Any:
    """Return the target's result; whatever it raises is a UserError in one line, which begins with `what`."""
    if not callable(target):
        raise UserError(f"{what} cannot be called: it is {type(target).__name__}")
    try:
        return target(*arguments, **named)
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # sys.exit() would end the command as if all were well
        reason = " ".join(str(error).split())
        if not isinstance(error, TypeError | ValueError):
            what, reason = f"{what} fails", f"{type(error).__name__}: {reason}"
        raise UserError(f"{what}: {reason}") from error


def takes(target: Any) -> tuple[str, ...]:
    """Return the names of a target's arguments, as far as it tells them."""
    try:
        return tuple(inspect.signature(target).parameters)
    except (TypeError, ValueError):
        return ()


def instance(spec: Any, key: str, usual: Mapping[str, Any] | None = None) -> Any:
    """Return what ``{_target_: a.dotted.Path, argument: value}`` makes; with ``_partial_: true`` a function.

    Of the `usual` arguments it gets those that it takes and `spec` leaves out. Raises UserError, which names the
    configuration's `key`, for what has no target or cannot be made.
    """
    if not isinstance(spec, Mapping) or not isinstance(spec.get("_target_"), str):
        raise UserError(f"{key}={spec}: {{_target_: a.dotted.Path, argument: value}} is needed")
    path = spec["_target_"]
    target = locate(path, f"{key}._target_")
    named = {name: value for name, value in (usual or {}).items() if name in takes(target)}
    named |= {
        name: made(value, f"{key}.{name}")
        for name, value in spec.items()
        if name not in ("_target_", "_partial_")
    }
    later = spec.get("_partial_", False)
    return partial(target, **named) if later else called(f"{key}._target_={path}", target, **named)


def made(value: Any, key: str) -> Any:
    """Return an argument, with every `instance` in it made."""
    if isinstance(value, list):
        return [made(each, key) for each in value]
    if not isinstance(value, Mapping):
        return value
    if "_target_" in value:
        return instance(value, key)
    return {name: made(each, f"{key}.{name}") for name, each in value.items()}


def own_sources(path: str) -> dict[str, Path]:
    """Return the files outside installed packages that a target comes from, by module name, with all that they import.

    Nothing is imported, so that the files can be compared with a digest first. Empty where the target is installed,
    or not there.
    """
    parts = path.split(".")
    modules = [".".join(parts[:length]) for length in range(1, len(parts))]
    open_names = [name for name in modules if _spec(name) is not None][-1:]
    found: dict[str, Path] = {}
    while open_names:
        name = open_names.pop()
        file = None if name in found else _own_file(name)
        if file is not None:
            found[name] = file
            parent = name.rpartition(".")[0]  # its package runs first
            open_names += [*_imports(name, file), *([parent] if parent else [])]
    return found


def run_folder_of(sources: Mapping[str, Path], *, root: bool = True) -> Path | None:
    """Return the first run folder that one of these files lies in: code is never taken from there.

    `root` counts the folder in which the search for modules begins, too.
    """
    for name, file in sources.items():
        depth = name.count(".") + (file.name == "__init__.py")
        for folder in file.parents[: depth + root]:
            if any((folder / each).exists() for each in ("config.yaml", "record.json")):
                return folder
    return None


def digest(sources: dict[str, Path]) -> str:
    """Return 8 hexadecimal digits over names and code, wherever the files lie; comments are no code."""
    text = hashlib.sha256()
    for name, file in sorted(sources.items()):
        content = file.read_bytes()
        with contextlib.suppress(SyntaxError, ValueError, RecursionError):  # no Python: as it is
            content = repr(_tree(ast.parse(content))).encode()
        text.update(f"{name}\0".encode() + content + b"\0")
    return text.hexdigest()[:8]


def _tree(node: Any) -> Any:
    """Return a syntax tree as nested tuples, the same in each version of Python: what is empty stays out."""
    if isinstance(node, list):
        return tuple(map(_tree, node))
    if not isinstance(node, ast.AST):
        return node
    parts = ((name, value) for name, value in ast.iter_fields(node) if value is not None and value != [])
    return (type(node).__name__, *((name, _tree(value)) for name, value in parts))


def _imported(path: str, key: str) -> tuple[ModuleType, list[str]]:
    """Return the innermost module of a dotted path, imported, and the names that are left."""
    parts = path.split(".")
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise UserError(f"{key}={path}: a dotted path is needed, for example my_package.my_module.Name")
    working_folder_last()
    for length in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:length])
        try:
            return import_module(name), parts[length:]
        except ModuleNotFoundError as error:
            missing = error.name or ""
            if name != missing and not name.startswith(f"{missing}."):
                raise UserError(f"{key}={path}: {name} needs {missing!r}, which is not installed") from None
        except (Exception, SystemExit) as error:  # whatever the code of a module raises
            reason = " ".join(str(error).split())
            raise UserError(
                f"{key}={path}: importing {name} fails: {type(error).__name__}: {reason}"
            ) from error
    raise UserError(
        f"{key}={path}: no module {parts[0]!r}, neither installed nor in the working folder {Path.cwd()}"
    )


def _spec(name: str) -> ModuleSpec | None:
    """Find a module as an import would, but import nothing, not even the packages that it lies in."""
    if name in sys.modules:
        return getattr(sys.modules[name], "__spec__", None)
    working_folder_last()
    package = name.rpartition(".")[0]
    above = _spec(package) if package else None
    places = above.submodule_search_locations if above else None
    places = getattr(
        places, "_path", places
    )  # a namespace package's own list would look for imported parents
    if package and places is None:
        return None
    for finder in sys.meta_path:
        try:
            if spec := finder.find_spec(name, places):
                return spec
        except KeyError:  # a namespace package in one that is not imported: a folder of that name
            spec = ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = [
                str(Path(each, name[len(package) + 1 :])) for each in places or ()
            ]
            return spec
        except (ImportError, ValueError, AttributeError):
            continue
    return None


def _own_file(name: str) -> Path | None:
    """Return the file of a module that is neither the standard library's, nor an installed package's, nor ours."""
    spec = _spec(name)
    file = Path(spec.origin).resolve() if spec and spec.has_location and spec.origin else None
    return file if file is not None and not any(file.is_relative_to(each) for each in _installed()) else None


@cache
def _installed() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    folders = {Path(paths[name]).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders |= {
        Path(each).resolve() for each in sys.path if Path(each).name in ("site-packages", "dist-packages")
    }
    return (*folders, Path(__file__).resolve().parent)


def _imports(name: str, file: Path) -> Iterator[str]:
    """Yield the modules that the code of a file imports, inside functions too."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    try:
        tree = ast.parse(file.read_bytes())
    except (
        SyntaxError,
        ValueError,
        OSError,
        RecursionError,
    ):  # an extension module, or what its import will tell
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
