"""The code is written in plain English: docstrings are sentences."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "resnet_lab"
SHARED = ("__init__", "__main__", "register")  # Python's own names, and what the command line looks for
DIALECT = re.compile(r"(Of|As|The same|Those|But|That)\b")


def nodes(kind: type | tuple[type, ...]) -> Iterator[tuple[Path, ast.AST]]:
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, kind):
                yield path.relative_to(SOURCE), node


def test_a_docstring_is_a_sentence() -> None:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    texts = ((path, ast.get_docstring(node) or "") for path, node in nodes(kinds))  # type: ignore[arg-type]
    assert not [f"{path}: {text[:60]}" for path, text in texts if DIALECT.match(text)]


def test_things_have_names_of_their_own() -> None:
    words = (re.findall(r"\btold\b", path.read_text(encoding="utf-8")) for path in SOURCE.rglob("*.py"))
    assert sum(map(len, words)) <= 20
    modules = [path.stem for path in SOURCE.rglob("*.py") if path.stem not in SHARED]
    assert not {name for name in modules if modules.count(name) > 1}


def test_no_public_class_name_means_two_things() -> None:
    names = [
        node.name
        for path, node in nodes(ast.ClassDef)
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and "template" not in path.parts
    ]
    assert not {name for name in names if names.count(name) > 1}
