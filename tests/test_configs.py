"""The files of configs/: the command at a file's head is one that composes."""

import re
from pathlib import Path

import pytest

from resnet_lab.config.groups import config_dir
from resnet_lab.debug import photographs as debug_images
from swept import configurations

# Not the root, which shows the form of a command, shards, which must be there, and a search, which decides as it goes.
OTHERS = {"train.yaml", "data/imagenet_shards.yaml", "hydra/sweeper/optuna.yaml"}
FILES = sorted({path.relative_to(config_dir()).as_posix() for path in config_dir().rglob("*.yaml")} - OTHERS)
PLACES = re.compile(r"(?<==)(/path/to/\w+|IMAGENET|PATH)\b")  # what a reader puts a folder for


def commands(file: str) -> list[list[str]]:
    """The arguments of each `resnet-lab train` in the comment at the head of a file."""
    head = (config_dir() / file).read_text().split("\n\n")[0]
    lines = (line.removeprefix("# ") for line in head.splitlines() if line.startswith("# resnet-lab train "))
    return [re.split(r"\s{2,}|\s#|…", line)[0].split()[2:] for line in lines]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return debug_images.make(tmp_path_factory.mktemp("configs") / "images")


@pytest.mark.parametrize("file", FILES)
def test_the_command_at_the_head_of_a_file_composes_with_it(file: str, images: Path) -> None:
    assert commands(file), "the first comment is the command that runs it"
    for arguments in commands(file):
        given = [PLACES.sub(str(images), text) for text in arguments if text != "-m"]
        if any(str(images) in text for text in given):  # which are fewer than a batch of the recipes
            given.append("recipe.batch_size=8")
        assert configurations([*given, f"runs_root={images.parent}"])
