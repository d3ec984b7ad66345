"""reference/messages.md: every message that tells a user's mistake, as the code has it."""

import ast
from pathlib import Path

import resnet_lab

PACKAGE = Path(resnet_lab.__file__).parent
HEAD = """---
search:
  exclude: true
---

# Every message

Each mistake is reported in one line, `resnet-lab: …`, before anything is written or trained, with exit code 2. It names
what was given, what is allowed and the nearest valid choice; … stands for what differs from case to case.
[Troubleshooting](../troubleshooting.md) explains the common ones. This page is generated from the code.
"""


def pages() -> dict[str, str]:
    parts = [HEAD]
    rooms: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        where = path.relative_to(PACKAGE)
        room = where.parts[0] if len(where.parts) > 1 else "command line, files, fields"
        rooms.setdefault(room, []).extend(f"| {text} | `{where}` |" for text in _messages(path))
    for room, rows in rooms.items():
        if rows:
            parts += [f"## {room}", "", "| message | file |", "|---|---|", *dict.fromkeys(rows), ""]
    return {"reference/messages.md": "\n".join(parts)}


def _messages(path: Path) -> list[str]:
    calls = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "UserError"
        and node.args
    ]
    texts = (_text(call.args[0]) for call in sorted(calls, key=lambda call: call.lineno))
    return [f"`` {text.replace('|', chr(92) + '|')} ``" for text in texts if text.strip("… :;,")]


def _text(node: ast.expr) -> str:
    """The words of a string, … for each thing put in; of a choice between two, both."""
    match node:
        case ast.Constant(value=str(text)):
            return " ".join(text.split())
        case ast.JoinedStr(values=values):
            return "".join(value.value if isinstance(value, ast.Constant) else "…" for value in values)
        case ast.IfExp(body=body, orelse=orelse):
            return f"{_text(body)} / {_text(orelse)}"
        case ast.BinOp(left=left, right=right):
            return _text(left) + _text(right)
    return "…"
