"""Names of other packages that are private there: each is still where we import it from, in one file of ours."""

import ast
from importlib import import_module, metadata
from pathlib import Path

import pytest

import resnet_lab

PACKAGE = Path(resnet_lab.__file__).parent


def private() -> dict[tuple[str, str], list[str]]:
    """Return the files that import each private name, by its module and itself."""
    found: dict[tuple[str, str], list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or (node.module or "").startswith("resnet_lab"):
                continue
            for each in node.names:
                if any(part.startswith("_") for part in f"{node.module}.{each.name}".strip("_").split(".")):
                    found.setdefault((str(node.module), each.name), []).append(str(path.relative_to(PACKAGE)))
    return found


@pytest.mark.parametrize(("module", "name"), private())
def test_a_private_name_of_another_package_is_where_it_was(module: str, name: str) -> None:
    pytest.importorskip(package := module.partition(".")[0])
    [distribution, *_] = metadata.packages_distributions()[package]
    version = f"{distribution} {metadata.version(distribution)}"
    try:
        there = hasattr(import_module(module), name)
    except ImportError:
        there = False
    assert there, f"{version} has no {module}.{name} any more: see {private()[module, name]}"
