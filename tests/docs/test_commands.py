"""Each command of README and docs is one that the program takes; one whose output is shown prints it."""

import contextlib
import importlib.util
import re
import shutil
import sys
from pathlib import Path

import pytest

import documented
from documented import PAGES, ROOT, Command
from resnet_lab import cli
from resnet_lab.cli.parser import parsed
from resnet_lab.config.overrides import read
from resnet_lab.config.request import compose
from resnet_lab.debug import photographs as debug_images
from swept import expanded

# What a reader puts a folder of images for.
IMAGES = re.compile(r"(?<==)(/path/to/\w+|/data/\w+|IMAGES|IMAGENET|PATH|…)(?=$|/)")
COMPOSED = ("train", "plan", "show")
# Commands of others: nothing of ours is in them.
FOREIGN = (
    "source",
    "cd",
    "rm",
    "export",
    "nohup",
    "ssh",
    "tensorboard",
    "apt-get",
    "wandb",
    "git",
    "kill",
    "ls",
    "cat",
)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = debug_images.make(tmp_path_factory.mktemp("docs") / "images")
    for path in list(root.glob("train/*/*.jpg")):  # as many as a batch
        for copy in range(4):
            shutil.copy(path, path.with_stem(f"{path.stem}-{copy}"))
    return root


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks as the checkout does to a reader."""
    for name in ("results", "benchmarks", "examples", "notebooks"):
        (tmp_path / name).symlink_to(ROOT / name)
    for name in ("Makefile", "constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return tmp_path


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_are_taken(
    page: str, session: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = set(sys.modules)
    for name, text in documented.files(page).items():
        (session / name).parent.mkdir(parents=True, exist_ok=True)
        (session / name).write_text(text)
    try:
        for command in documented.commands(page):
            shown(command, capsys) if command.prints else taken(command, images)
    finally:
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", None)).startswith(str(session)):
                del sys.modules[name]


def shown(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """It prints what the page shows, in which … is anything."""
    assert command.words[0] == "resnet-lab", f"{command}: only our own output is shown"
    assert command.prints is not None
    capsys.readouterr()
    with contextlib.suppress(SystemExit):  # argparse: its help, and what it refuses
        cli.main(command.words[1:])
    printed = "\n".join(filter(None, map(str.strip, capsys.readouterr())))
    form = re.escape(command.prints).replace(re.escape("…"), ".*")
    assert re.fullmatch(form, printed, re.DOTALL), f"{command}\nprints\n{printed}\nnot\n{command.prints}"


def taken(command: Command, images: Path) -> None:
    """It parses; its keys compose; its files and targets are there."""
    program, *given = command.words
    while re.fullmatch(r"[A-Z_]+=\S*", program):  # WANDB_MODE=offline resnet-lab …
        program, *given = given
    if program == "nohup":
        program, *given = given
    arguments = [IMAGES.sub(str(images), word) for word in given if word not in ("…", "&")]
    match program:
        case "resnet-lab":
            _our_command(command, arguments)
        case "make":
            targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            assert set(arguments) <= set(targets), command
        case "python" | "torchrun":
            _python(command, arguments)
        case "pip":
            asked = {extra for word in arguments for extra in re.findall(r"\[(.*)\]", word)}
            known = re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
            assert {name for extra in asked for name in extra.split(",")} <= set(known), command
        case _:
            assert program in FOREIGN, f"{command}: say in tests/docs how it is checked"


def _our_command(command: Command, arguments: list[str]) -> None:
    try:
        args = parsed(arguments)
    except SystemExit as ended:
        if ended.code != 0:
            pytest.fail(f"{command} does not parse")
        return
    if arguments[0] in COMPOSED:
        if {"hydra/sweeper=optuna", "data=imagenet_shards"} & set(args.overrides):
            return  # a search decides as it goes; shards must be there
        jobs = expanded(read(args.overrides)) if getattr(args, "multirun", False) else [args.overrides]
        assert compose(jobs[-1], planned=True), command


def _python(command: Command, arguments: list[str]) -> None:
    """The module or script is there, and so is each option that is given."""
    if "-m" in arguments:
        module = arguments[arguments.index("-m") + 1]
        assert importlib.util.find_spec(module) is not None, command
        return
    script = ROOT / arguments[0]
    code = script.read_text()
    for word in arguments[1:]:
        assert not word.startswith("--") or f'"{word}"' in code, command
