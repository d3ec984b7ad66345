"""MkDocs' hook: pages that are looked up in the code, so that they cannot drift, and the figures of results/."""

from pathlib import Path

import keys
import messages
import modules
import notebooks
import papers
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

PAGES = {**keys.pages(), **messages.pages(), **modules.pages(), **papers.pages(), **notebooks.pages()}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for path, text in PAGES.items():
        files.append(File.generated(config, path, content=text))
    root = Path(config.config_file_path).parent
    for figure in sorted(root.glob("results/**/*.png")):
        path = figure.relative_to(root).as_posix()
        files.append(File.generated(config, path, abs_src_path=str(figure)))
    return files


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Append each page that the navigation does not name to its part How-to."""
    rest = [
        path.name for path in sorted(Path(config.docs_dir).glob("*.md")) if path.name not in str(config.nav)
    ]
    for part in config.nav or []:
        part.get("How-to", []).extend(rest)
    return config
