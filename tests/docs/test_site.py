"""The site builds without a warning, asks nothing of another server, and its generated pages lack nothing."""

import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from browser import CHROMIUM, DRIVER, MISSING, browser
from documented import ROOT
from resnet_lab.config.groups import groups
from resnet_lab.config.request import compose
from resnet_lab.fields import flatten

# What a browser fetches unasked; an <a href> is followed by a reader.
FETCHED = re.compile(
    r"""<(?:script|img|iframe|source)[^>]*\ssrc="?(https?:)?//|<link[^>]*\shref="?(https?:)?//"""
)

# The code blocks that scroll sideways, and by how many pixels.
CUT = """return [...document.querySelectorAll('.highlight pre > code, pre > code')]
    .map(code => [code.scrollWidth - code.clientWidth, code.textContent.slice(0, 60)]).filter(([over]) => over > 0)"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "RESNET_LAB_NOTEBOOKS": "plain"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    said = built.stdout + built.stderr
    assert (built.returncode, "WARNING" in said) == (0, False), said
    return folder


def test_no_page_asks_anything_of_another_server(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 40
    assert not [page for page in pages if FETCHED.search(page.read_text(encoding="utf-8"))]
    styles = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    assert styles
    assert not any(re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", style) for style in styles)


@pytest.fixture
def generated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "generated"))


def module(name: str) -> ModuleType:
    return import_module(name)


@pytest.mark.usefixtures("generated")
def test_every_key_of_a_configuration_is_described_in_the_reference() -> None:
    page = module("keys").pages()["reference/keys.md"]
    keys = [re.sub(r"\.\d+$", "", key) for key in flatten(compose([]))]
    assert not [key for key in keys if f"`{key}`" not in page]
    options = [f"{group}={option}" for group, names in groups().items() for option in names]
    assert not [option for option in options if f"`{option}`" not in page]
    assert not [
        line for line in page.splitlines() if line.startswith("| `") and line.endswith(("|  |", "| |"))
    ]


@pytest.mark.usefixtures("generated")
def test_every_experiment_has_a_page_with_its_command_and_question() -> None:
    pages = module("papers").pages()
    for name in groups()["experiment"]:
        text = pages[f"papers/{name}.md"]
        assert f"experiment={name}" in text
        assert f"]({name}.md)" in pages["papers/index.md"]
        assert text.partition("**")[2].partition("**")[0].endswith(("?", "."))


@pytest.mark.slow
@pytest.mark.usefixtures("generated")
def test_every_notebook_is_a_page_with_its_outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebooks = module("notebooks")
    monkeypatch.setattr(notebooks, "KEPT", tmp_path)
    pages = notebooks.pages()
    for path in notebooks.NOTEBOOKS:
        text = pages[f"notebooks/{path.stem}.md"]
        assert f"# {path.stem}" not in text
        assert "Traceback" not in text
        pictures = re.findall(rf"\]\(({path.stem}/[\w.]+)\)", text)
        assert pictures
        assert all(pages[f"notebooks/{name}"][:4] == b"\x89PNG" for name in pictures)


@pytest.mark.usefixtures("generated")
def test_a_message_of_the_code_is_in_the_reference() -> None:
    page = module("messages").pages()["reference/messages.md"]
    assert "`` recipe.sam takes its two steps on one batch: set recipe.accumulate=1 ``" in page
    assert "`` data=… needs to know where its images lie: data.root=… ``" in page


def test_each_kind_of_failure_is_explained() -> None:
    from resnet_lab.runs.failures import describe

    kinds = re.search(r"Kinds: ([\w, \n]+)\.", describe.__doc__ or "")
    assert kinds is not None
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    assert not [kind for kind in re.findall(r"\w+", kinds[1]) if f"| `{kind}` |" not in page]


@pytest.mark.browser
@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING)
def test_no_code_block_is_cut_off_on_a_wide_screen(site: Path) -> None:
    """At 1280 pixels every block fits its column, but for the generated pages of modules and papers."""
    pages = [*sorted(site.glob("*/index.html")), site / "index.html"]
    cut = {}
    with browser() as tab:
        tab.look(1280)
        for page in pages:
            tab.open(page.as_uri())
            if found := tab.js(CUT):
                cut[page.parent.name] = found
    assert cut == {}
