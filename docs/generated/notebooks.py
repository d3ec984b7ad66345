"""notebooks/: a page for each notebook, with its outputs. Running all of them takes about two minutes.

Outputs are kept in build/notebooks/ until the notebook or the package changes. `RESNET_LAB_NOTEBOOKS=plain` makes the
pages without outputs, and runs nothing.
"""

import hashlib
import os
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert import MarkdownExporter

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
KEPT = ROOT / "build" / "notebooks"


def pages() -> dict[str, str | bytes]:
    """Return the text of each page, and the bytes of each picture in it, by path."""
    found: dict[str, str | bytes] = {}
    for path in NOTEBOOKS:
        notebook = nbformat.read(path, as_version=4)
        if os.environ.get("RESNET_LAB_NOTEBOOKS") != "plain":
            notebook = _with_outputs(path)
        text, resources = MarkdownExporter().from_notebook_node(notebook)
        for name, picture in resources["outputs"].items():
            found[f"notebooks/{path.stem}/{name}"] = picture
        shown = text.replace("![png](", f"![{path.stem}]({path.stem}/")
        found[f"notebooks/{path.stem}.md"] = f"{shown}\nRun it yourself: `notebooks/{path.name}`.\n"
    return found


def _with_outputs(path: Path) -> nbformat.NotebookNode:
    """Run the notebook, or read what it gave when it and the package were as they are now."""
    digest = hashlib.sha256(path.read_bytes())
    for source in sorted((ROOT / "src").rglob("*.py")):
        digest.update(source.read_bytes())
    kept = KEPT / f"{path.stem}-{digest.hexdigest()[:16]}.ipynb"
    if not kept.exists():
        notebook = nbformat.read(path, as_version=4)
        resources = {"metadata": {"path": str(path.parent)}}
        NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()
        KEPT.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, kept)
    return nbformat.read(kept, as_version=4)
