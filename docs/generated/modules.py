"""reference/modules.md and a page for each room: the docstrings of its modules."""

import ast
from pathlib import Path

import resnet_lab

PACKAGE = Path(resnet_lab.__file__).parent
TOP = "resnet_lab"


def pages() -> dict[str, str]:
    rooms = sorted(path.parent for path in PACKAGE.glob("*/__init__.py"))
    made = {f"reference/{room.name}.md": _page(room) for room in rooms}
    floor = sorted(path for path in PACKAGE.glob("*.py") if not path.name.startswith("_"))
    listed = [
        f"| [`{TOP}.{room.name}`]({room.name}.md) | {_first_line(room / '__init__.py')} |" for room in rooms
    ]
    text = ["# Modules", "", "The rooms of the package, then what lies beside them; an arrow between rooms only points",
            "down (`CONTRIBUTING.md`).", "", "| room | |", "|---|---|", *listed, ""]  # fmt: skip
    made["reference/modules.md"] = "\n".join([*text, *(f"::: {TOP}.{path.stem}" for path in floor)])
    return made


def _page(room: Path) -> str:
    lines = [f"# {TOP}.{room.name}", "", _docstring(room / "__init__.py"), ""]
    for path in sorted(room.rglob("*.py")):
        dotted = ".".join((TOP, *path.relative_to(PACKAGE).with_suffix("").parts))
        if not path.name.startswith("_") and "project" not in path.parts:
            lines += [f"::: {dotted}", ""]
    return "\n".join(lines)


def _docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def _first_line(path: Path) -> str:
    return _docstring(path).partition("\n")[0]
