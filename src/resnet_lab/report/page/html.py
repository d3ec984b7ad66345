"""Write the page as one file: styles, script and data inside, nothing from elsewhere. Free of torch."""

import base64
import hashlib
import html
import json
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from resnet_lab.errors import UserError
from resnet_lab.report.collect import to_stderr
from resnet_lab.report.page.data import named_sweeps, page_data
from resnet_lab.report.publish import gathered, home

NAME = "page.html"
SCRIPTS = ("plot.js", "save.js", "table.js", "figures.js", "curves.js", "inside.js", "page.js")
# No text of a run can be a script: only the one whose digest stands here is.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:;"
    " script-src 'sha256-{digest}'"
)
PAGE = """<!doctype html>
<html lang="en"{live}>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
<header></header>
<main id="main"></main>
<noscript><p>{title}</p><p>{conclusion}</p><p>The tables and figures of this page need JavaScript.</p></noscript>
<script type="application/json" id="data">{data}</script>
<script>{script}</script>
</body>
</html>
"""


def write_page(folders: Sequence[Path], out: Path | None = None, where: Sequence[str] = ()) -> int:
    """Write page.html into `out`, or where the folders lie, and return 0. The same runs give the same bytes."""
    data = gathered_data(folders, where)
    path = (out or home(folders)) / NAME
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(page(data).encode(errors="backslashreplace"))
    except OSError as error:
        raise UserError(f"cannot write {error.filename or path}: {error.strerror}") from None
    for view in data["views"]:
        print(f"{view['title']}\n{view['conclusion']}")
    print(path)
    return 0


def gathered_data(
    folders: Sequence[Path], where: Sequence[str] = (), warn: Callable[[str], None] = to_stderr
) -> dict[str, Any]:
    """Return what the page shows of the runs below these folders; UserError if there is none."""
    return page_data(named_sweeps(folders, gathered(folders, where, warn)))


def page(data: dict[str, Any], *, live: bool = False) -> str:
    """Return the whole file; `live`: it asks the server that it comes from for what is new."""
    first = data["views"][0]
    script = _text(*SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return PAGE.format(
        live=" data-live" if live else "",
        policy=POLICY.format(digest=digest),
        title=html.escape(first["title"]),
        conclusion=html.escape(first["conclusion"]),
        style=_text("page.css"),
        data=embedded(data),
        script=script,
    )


def embedded(data: Any) -> str:
    """Return JSON whose text can neither end nor open an element; ASCII alone, so that any name can be written."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def _text(*names: str) -> str:
    """Join files of this folder."""
    return "\n".join(files(__package__).joinpath(name).read_text(encoding="utf-8") for name in names)
