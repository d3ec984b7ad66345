"""A page's commands, given one after another as a reader would: trained in debug form, in processes of their own."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import documented
from documented import ROOT, Command

PAGES = ["docs/index.md", "docs/tutorial.md", "docs/configuration.md", "docs/runs.md", "docs/weights.md"]
SECONDS = 300  # of one command
NEEDS_MORE = re.compile(
    r"/path/to|imagenet|IMAGE|hydra/launcher=|optuna|he20|\.jpg|\.png|\.th\b|ten_crop|&|--cfg|plan"
    r"|--extend|--trust|my_net|=mine|best\.ckpt"
)


def given(page: str) -> Iterator[Command]:
    """Yield those that need no images, cluster, network or part of one's own; test_commands takes the rest."""
    for command in documented.commands(page):
        ours = command.words[0] == "resnet-lab" or command.words[:3] == ("python", "-m", "resnet_lab.runs")
        if ours and command.prints is None and not NEEDS_MORE.search(" ".join(command.words)):
            yield command


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_run_one_after_another(page: str, tmp_path: Path) -> None:
    for name, text in documented.files(page).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    if any("RUN_DIR" in command.words for command in given(page)):
        run(("resnet-lab", "train"), tmp_path)
    done = [run(command.words, tmp_path) for command in given(page)]
    assert done
    if any(words[1] == "train" for words in done):
        assert list(tmp_path.glob("runs/**/record.json"))


def run(words: tuple[str, ...], folder: Path) -> list[str]:
    """Run it, small: the run folder where the page says RUN_DIR, and `debug=true` for what trains."""
    said = [
        str(next(folder.glob("runs/**/config.yaml")).parent) if word == "RUN_DIR" else word for word in words
    ]
    said = [re.sub(r"^runs/(?!debug)(?=\w+$)", "runs/debug/", word) for word in said]
    if said[1] == "train":
        said.append("debug=true")
    command = said if said[0] == "python" else ["python", "-m", "resnet_lab", *said[1:]]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    told = subprocess.run(
        [sys.executable, *command[1:]],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert told.returncode == 0, f"{' '.join(said)}\n{told.stdout}{told.stderr}"
    return said
