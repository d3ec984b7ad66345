"""The command line: quick, helpful, and one line for each mistake."""

import resource
import shlex
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from folders import make
from mistakes import mistakes
from resnet_lab.cli import main
from resnet_lab.cli.parser import parsed
from resnet_lab.config.groups import groups
from resnet_lab.extras import GROUPS, commands

TORCH_FREE = [
    "resnet_lab.api",
    "resnet_lab.cli",
    "resnet_lab.sweeps.printed",
    "resnet_lab.share.pack",
    "resnet_lab.models",
    "resnet_lab.models.description",
    "resnet_lab.data",
    "resnet_lab.data.spec",
    "resnet_lab.training",
    "resnet_lab.training.recipes",
    "resnet_lab.runs",
    "resnet_lab.config.schema",
    "resnet_lab.config.compose",
    "resnet_lab.config.identity",
    "resnet_lab.runs.folder",
    "resnet_lab.sweeps",
    "resnet_lab.config.request",
    "resnet_lab.report",
    "resnet_lab.reference",
]

MISTAKES = mistakes()
UNPRINTABLE = {  # in a file
    "a name of two lines": ("name='a\nb'", "line break"),
    "a name with a bell": ("name='a\a'", "control character"),
    "not UTF-8": ("logger.project=\udcff", "UTF-8"),
    "brackets without end": ("trainer.extra=" + "{a:" * 5000 + "1" + "}" * 5000, "at most 32"),
}


def resnet_lab(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "resnet_lab", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=60,
    )


@pytest.fixture
def told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """The one line that a command in this process tells of a mistake; fails where it writes or says more."""
    monkeypatch.chdir(tmp_path)

    def line(*arguments: str) -> str:
        assert main(arguments) == 2
        shown = capsys.readouterr()
        assert shown.err.count("\n") == 1, shown.err
        assert not shown.out
        assert not list(tmp_path.iterdir())
        return shown.err

    return line


@pytest.mark.parametrize("typed", MISTAKES)
def test_a_mistake_is_the_line_of_golden_mistakes_and_nothing_is_written(
    typed: str, told: Callable[..., str]
) -> None:
    """`python tests/helpers/mistakes.py` renews the lines, to be reviewed."""
    words = shlex.split(typed)
    assert told(*words) == MISTAKES[typed] + "\n"
    if words[:1] == ["train"] and "add -m" not in MISTAKES[typed]:
        told("plan", "-m", *(word for word in words[1:] if word != "-m"))
    if words[:2] == ["train", "-m"]:
        told(*words, "--cfg")


@pytest.mark.parametrize("mistake", UNPRINTABLE)
def test_what_no_line_can_show_is_a_mistake_in_one_line(mistake: str, told: Callable[..., str]) -> None:
    override, expected = UNPRINTABLE[mistake]
    assert expected in told("train", override)


@pytest.mark.parametrize("most", ["0", "-1", "nan", "true"])
def test_a_number_of_failures_that_is_none_starts_no_run(most: str, told: Callable[..., str]) -> None:
    assert "hydra.launcher.max_failures" in told(
        "train", "-m", "seed=0,1", f"hydra.launcher.max_failures={most}"
    )


def test_a_place_that_is_not_installed_is_told_before_a_folder_is_made(
    told: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert "resnet-lab[ray]" in told("train", "-m", "seed=0,1", "hydra/launcher=ray")
    monkeypatch.setenv("PATH", "")
    assert "no sbatch" in told("train", "-m", "seed=0,1", "hydra/launcher=slurm")


def test_a_mistake_from_a_shell_exits_with_2_and_one_line(tmp_path: Path) -> None:
    done = resnet_lab("train", "model.dpeth=20", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_configuration_error_takes_less_than_two_seconds_of_processor(tmp_path: Path) -> None:
    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        resnet_lab("train", "model.dpeth=20", cwd=tmp_path)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    assert any(seconds() < 2 for _ in range(3))  # whatever else the machine does


@pytest.mark.parametrize("command", [["report"], ["predict", "a.png", "--run"], ["export"]])
def test_tilde_is_the_home_in_the_paths_of_every_command(
    command: list[str],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    told: Callable[..., str],
) -> None:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    assert f"{home}/none" in told(*command, "~/none")


def test_what_must_be_quick_imports_no_torch() -> None:
    code = f"""
import importlib, sys
for module in {TORCH_FREE}:
    importlib.import_module(module)
    if slow := {{"torch", "lightning"}} & set(sys.modules):
        sys.exit(f"{{module}} imports {{slow}}")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def helped(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit, match="0"):
        main([*arguments, "--help"])
    return capsys.readouterr().out


def test_help_lists_the_commands_in_groups_with_an_example_each_and_the_exit_codes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = helped(capsys)
    flat = " ".join(text.replace("\\\n", " ").split())
    for group in GROUPS:
        assert f"\n{group}:\n" in text
    for command in commands().values():
        assert f"{command.name} {command.help}" in flat
        assert f"$ {command.example}" in flat
    assert all(f"\n  {code} " in text for code in (0, 1, 2, 130))


@pytest.mark.parametrize("command", ["", *commands()])
def test_help_fits_80_columns_describes_every_argument_and_begins_with_the_command(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for columns in ("200", "80"):
        monkeypatch.setenv("COLUMNS", columns)
        text = helped(capsys, *command.split())
        assert max(map(len, text.splitlines())) <= 80
        assert text.startswith(f"usage: resnet-lab {command or 'COMMAND ...'}")
    for each in commands()[command].options if command else ():
        assert each.given["help"]
    assert command != "train" or all(f"{group}=" in text for group in groups())


@pytest.mark.parametrize("command", commands())
def test_every_example_is_what_its_command_takes(command: str) -> None:
    words = shlex.split(commands()[command].example.removeprefix('eval "$(').removesuffix(')"'))
    assert words[0] == "resnet-lab"
    assert parsed(words[1:]).command == words[1] == command


def test_words_may_follow_an_option() -> None:
    args = parsed(["report", "runs/a", "--out", "x", "runs/b"])
    assert args.folder == [Path("runs/a"), Path("runs/b")]
    assert parsed(["train", "seed=0", "-m", "model.depth=20,32"]).overrides == ["seed=0", "model.depth=20,32"]


def test_cfg_of_a_sweep_prints_the_configuration_of_each_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "-m", "--cfg", "seed=0,1", "model.depth=8"]) == 0
    seeds = [OmegaConf.create(text).seed for text in capsys.readouterr().out.split("---\n")]
    assert seeds == [0, 1]


def test_help_imports_nothing_that_only_one_option_needs() -> None:
    code = "import sys, resnet_lab.cli.parser as a; a.build(); sys.exit('importlib.metadata' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"resnet-lab {metadata.version('resnet-lab')}\n"


def test_a_set_smaller_than_a_batch_is_shown_and_prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = make(tmp_path / "images", images=2)
    assert main(["show", "data=image_folder", f"data.root={root}", "--out", str(tmp_path)]) == 0
    assert main(["prepare", "data=imagenet", f"data.root={root}", f"out={tmp_path / 'shards'}"]) == 0
    assert main(["train", "data=image_folder", f"data.root={root}"]) == 2


def test_a_run_says_at_once_what_it_trains_and_for_how_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("resnet_lab.runs.__main__.main", lambda _: 1)
    assert main(["train", "data=digits", "model.depth=8", "recipe.epochs=2"]) == 1
    line = capsys.readouterr().err
    assert line.startswith("runs/scratch/resnet-8-s0-")
    assert "training resnet-8 on digits for 2 epochs" in line


def test_interrupt_while_the_program_is_imported_ends_it_in_one_line(tmp_path: Path) -> None:
    stop = "import os, signal; os.kill(os.getpid(), signal.SIGINT)"
    (tmp_path / "yaml.py").write_text(stop)  # one of the first that a command imports
    program = "import sys; from resnet_lab.__main__ import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, "train", "model.depth=8"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.startswith("resnet-lab: interrupted")
    assert done.stderr.count("\n") == 1
