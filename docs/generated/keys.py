"""reference/keys.md: every key of a configuration, from the schema: type, default, what is allowed, and what for."""

import ast
import inspect
import io
import re
import tokenize
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Any, get_type_hints

from resnet_lab.config.compose import SCHEMAS
from resnet_lab.config.groups import config_dir, groups
from resnet_lab.config.schema import TrainConfig

HEAD = """# Every key

Set a key with `KEY=value`; `resnet-lab train --cfg` prints all of them with their values. *Fixed* keys are part of
a run's identity: another value makes another run, in another folder. The other keys do not change the result, and
you may change them when you resume a run. This page is generated from the code and from the files in `configs/`.
"""
NAMES = {
    "model/schema": "model: residual networks",
    "model/other_schema": "model: your own",
    "data/small_images_schema": "data: small images",
    "data/image_folder_schema": "data: class folders of images",
    "data/shards_schema": "data: shards",
    "data/small_folder_schema": "data: class folders of small images",
    "data/own_schema": "data: images of your own",
}


def pages() -> dict[str, str]:
    parts = [HEAD, _section("A run", TrainConfig, "")]
    for schema, made in SCHEMAS.items():
        if schema != "schema":
            group = schema.partition("/")[0]
            parts.append(_section(NAMES.get(schema, group), made, f"{group}."))
    parts += [_hydra(group) for group in groups() if group.startswith("hydra/")]
    parts.append(_options())
    return {"reference/keys.md": "\n".join(parts)}


def _section(title: str, schema: type, prefix: str) -> str:
    lines = [
        f"## {title}",
        "",
        inspect.getdoc(schema) or "",
        "",
        "| key | default | allowed | | what for |",
        "|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *_rows(schema, prefix, fixed=True), ""])


def _rows(schema: type, prefix: str, *, fixed: bool) -> list[str]:
    hints, rows = get_type_hints(schema), []
    groups_of_their_own = {name.partition("/")[0] for name in SCHEMAS}
    for each in fields(schema):
        key, kind = f"{prefix}{each.name}", hints[each.name]
        counts = fixed and each.metadata.get("identity", True)
        if is_dataclass(kind) and isinstance(kind, type):
            if prefix or each.name not in groups_of_their_own:
                rows += _rows(kind, f"{key}.", fixed=counts)
            continue
        cells = (
            f"`{key}`",
            _default(each),
            _allowed(each, kind),
            "fixed" if counts else "",
            re.sub(r"([_*|{])", r"\\\1", _said(schema, each.name)),
        )
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def _default(each: Field[Any]) -> str:
    value = each.default if each.default is not MISSING else each.default_factory()  # type: ignore[misc]
    return "needed" if value == "???" else f"`{_yaml(value)}`"


def _yaml(value: Any) -> str:
    if value is None:
        return "null"
    return (
        str(value).lower()
        if isinstance(value, bool)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


def _allowed(each: Field[Any], kind: Any) -> str:
    if (choices := each.metadata.get("choices")) is not None:
        words = choices() if callable(choices) else choices
        own = ["a dotted path"] if each.metadata.get("own") else []
        return ", ".join([*(f"`{word}`" for word in words), *own])
    if (numbers := each.metadata.get("range")) is not None:
        return f"{_type(kind)}, {numbers}"
    if (text := each.metadata.get("text")) is not None:
        return f"{_type(kind)}, at most {text.most} characters"
    return "a path" if each.metadata.get("path") else _type(kind)


WORDS = {"int": "a whole number", "float": "a number", "bool": "`true`, `false`", "str": "text",
         "list": "a list", "dict": "a mapping"}  # fmt: skip


def _type(kind: Any) -> str:
    name = re.sub(r"^<class '|'>$", "", str(kind)).removesuffix(" | None")
    return WORDS.get(name.partition("[")[0], name)


def _said(schema: type, field: str) -> str:
    """The comment beside the field, in the class that has it first."""
    return next((said[field] for each in schema.__mro__ if (said := _comments(each)) and field in said), "")


@cache
def _comments(schema: type) -> dict[str, str]:
    """What the source says beside each field of a dataclass, or in the lines above it."""
    if not is_dataclass(schema):
        return {}
    source = inspect.cleandoc("\n" + inspect.getsource(schema))
    notes = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT and "noqa" not in token.string
    }
    whole = {number for number, line in enumerate(source.splitlines(), 1) if line.lstrip().startswith("#")}
    said = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            above, number = [], node.lineno - 1
            while number in whole:
                above.insert(0, notes[number])
                number -= 1
            lines = [
                notes[at] for at in range(node.lineno, (node.end_lineno or node.lineno) + 1) if at in notes
            ]
            said[node.target.id] = " ".join([*above, *lines])
    return said


def _hydra(group: str) -> str:
    """The options of Hydra's launcher or sweeper: their keys as the files have them."""
    lines = []
    for name in groups()[group]:
        lines += [f"## {group}={name}", "", "| key | default | what for |", "|---|---|---|"]
        for line in (config_dir() / group / f"{name}.yaml").read_text(encoding="utf-8").splitlines():
            if found := re.fullmatch(r"(\w+): (.*?)(?:\s+# (.*))?", line):
                key, value, note = found.groups()
                if key != "_target_":
                    lines.append(f"| `{group.replace('/', '.')}.{key}` | `{value}` | {note or ''} |")
        lines.append("")
    return "\n".join(lines)


def _options() -> str:
    lines = ["## Groups and their options", "", "| option | what it is |", "|---|---|"]
    for group, options in groups().items():
        for option in options:
            head = (config_dir() / group / f"{option}.yaml").read_text(encoding="utf-8").split("\n\n")
            notes = [line.removeprefix("# ") for line in head[0].splitlines() if line.startswith("# ")]
            said = " ".join(note for note in notes if not note.startswith(("resnet-lab ", "@package")))
            if group == "experiment":
                said = _question(option)
            lines.append(f"| `{group}={option}` | {said} |")
    return "\n".join([*lines, ""])


def _question(option: str) -> str:
    text = (config_dir() / "experiment" / f"{option}.yaml").read_text(encoding="utf-8")
    head = text.split("\ndefaults:")[0].split("\n#\n", 1)[-1]
    words = " ".join(line.removeprefix("# ") for line in head.splitlines())
    found = re.match(r"[^?]*\?|.*?\.(?= |$)", words)
    return found[0] if found else words
