"""The map in CONTRIBUTING.md is that of the code: which rooms each room imports, and which files to open."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "resnet_lab"
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def imports() -> dict[str, set[str]]:
    """Return the rooms that each room imports, type-checking imports included; `register.py` adds to others."""
    found: dict[str, set[str]] = {}
    for path in SOURCE.rglob("*.py"):
        room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        if path.name == "register.py" or room.startswith("_"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
                if node.module == "resnet_lab":
                    names = [f"resnet_lab.{each.name}" for each in node.names]
            rooms = {name.split(".")[1] for name in names if name.startswith("resnet_lab.")}
            found.setdefault(room, set()).update(rooms - {room})
    return found


def test_the_table_of_the_house_names_every_room_and_what_it_imports() -> None:
    actual, told, named = imports(), {}, set()
    rows = re.findall(r"^\| \d \| (.*?) \| .* \| (.*?) ?\|$", TEXT, re.MULTILINE)
    tools = set(re.findall(r"`(\w+)", rows[0][0]))
    for rooms, imported in rows:
        names = re.findall(r"`(\w+)/?`", rooms)
        named.update(names)
        told[tuple(names)] = set(re.findall(r"`(\w+)`", imported))
    for names, imported in told.items():
        found = set().union(*(actual.get(name, set()) for name in names)) - tools - set(names)
        assert found == imported, names
    assert set(actual) - {"template"} <= named


def test_the_files_that_the_map_names_are_there() -> None:
    jobs = TEXT.split("### Where to look")[1].split("\n## ")[0]
    files = re.findall(r"`([\w/]+(?:\.py|/))`", jobs)
    assert len(files) > 8
    assert not [file for file in files if not ((SOURCE / file).exists() or (ROOT / file).exists())]


def test_the_way_of_a_sweep_names_functions_that_are_there() -> None:
    drawing = TEXT.split("## The way of")[1].split("```")[1]
    steps = re.findall(r"▶? ?▼? ([\w/]+\.py): (\w+)", drawing)
    assert len(steps) > 20
    for file, name in steps:
        code = (ROOT / "src/resnet_lab" / file).read_text(encoding="utf-8")
        assert re.search(rf"^ *(def|class) {name}\b", code, re.MULTILINE), f"{file} has no {name}"
