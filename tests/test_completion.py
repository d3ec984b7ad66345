"""What the shells complete, and that each shell takes its script."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from resnet_lab.cli.completion import SCRIPTS, complete

BIN = Path(sys.executable).parent
QUICK = ("torch", "hydra", "omegaconf", "numpy", "yaml")


def needs(shell: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(shell) is None, reason=f"needs {shell}")


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("", ["train", "report", "--version"]),
        ("tr", ["train"]),
        ("train ", ["data=", "experiment=", "hydra/launcher=", "recipe.", "seed="]),
        ("train -m recipe.lr", ["recipe.lr=", "recipe.lr_scale="]),
        ("train data=cifar", ["data=cifar10", "data=cifar100"]),
        ("train data.pa", ["data.pad="]),
        ("train callbacks.check", ["callbacks.checkpoint."]),
        ("train model.block=basic,bo", ["model.block=basic,bottleneck"]),
        ("train trainer.compile=", ["trainer.compile=true", "trainer.compile=false"]),
        ("train experiment=he2015/table6", ["experiment=he2015/table6"]),
        ("train hydra.launcher.partition", ["hydra.launcher.partition="]),
        ("train --cfg rec", ["recipe"]),
        ("plan --ef", ["--efficiency"]),
        ("evaluate --protocol ten", ["ten_crop"]),
        ("evaluate --model cifar_resnet110", ["cifar_resnet110"]),
        ("export resnet50_d", ["resnet50_d"]),
        ("export resnet50 --format t", ["torch", "torch-export"]),
        ("report runs/first --format ", ["md", "csv", "latex", "json"]),
        ("completion z", ["zsh"]),
        ("report runs/first --pa", ["--page"]),
    ],
)
def test_what_may_follow_is_offered(typed: str, offered: list[str]) -> None:
    found = complete(f"resnet-lab {typed}").splitlines()
    assert set(offered) <= set(found)
    if "--format" in typed:  # those of the command, and no others
        assert set(offered) == set(found)
    assert all(each.startswith(typed.split(" ")[-1]) for each in found)
    assert len(found) == len(set(found))


@pytest.mark.parametrize("typed", ["report ", "train nonsense.", "train recipe.lr=", "predict cat"])
def test_where_anything_may_follow_nothing_is_offered_and_the_shell_completes_files(typed: str) -> None:
    assert complete(f"resnet-lab {typed}") == ""


def test_before_anything_is_typed_the_commands_are_offered() -> None:
    assert "train" in complete("").split()


def test_a_group_of_ones_own_is_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine/experiment").mkdir(parents=True)
    (tmp_path / "mine/experiment/first.yaml").touch()
    assert "experiment=first" in complete(f"resnet-lab train --config-dir {tmp_path}/mine experiment=f")
    (tmp_path / "mine").rename(tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    assert "experiment=first" in complete("resnet-lab train experiment=f")


def test_completion_imports_nothing_that_is_slow() -> None:
    code = (
        "import sys; from resnet_lab.cli.completion import complete; complete('resnet-lab train recipe.l');"
        f"sys.exit(' '.join(m for m in {QUICK} if m in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(BIN), prepend=os.pathsep)


@needs("bash")
@pytest.mark.usefixtures("on_path")
def test_bash_completes_behind_an_equals_sign() -> None:
    lines = f"""{SCRIPTS["bash"]}
COMP_LINE="resnet-lab train model.block=basic,bo"
COMP_POINT=${{#COMP_LINE}}
_resnet_lab
echo "${{COMPREPLY[@]}}"
"""
    assert subprocess.check_output(["bash", "-c", lines], text=True) == "basic,bottleneck\n"


@needs("fish")
@pytest.mark.usefixtures("on_path")
def test_fish_completes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    asked = SCRIPTS["fish"] + "complete -C 'resnet-lab train data=cifar'"
    told = subprocess.check_output(["fish", "-N", "-c", asked], text=True)
    assert told.split() == ["data=cifar10", "data=cifar100"]


@needs("zsh")
@pytest.mark.usefixtures("on_path")
def test_zsh_completes(tmp_path: Path) -> None:
    (tmp_path / "complete").write_text(SCRIPTS["zsh"])
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "dumb"
        os.execvp("zsh", ["zsh", "-f", "-i"])

    def told(what: bytes) -> bytes:
        output, end = b"", time.monotonic() + 60
        while what not in output and time.monotonic() < end:
            if select.select([terminal], [], [], 0.1)[0]:
                output += os.read(terminal, 2**16)
        return output

    ready = f"autoload -Uz compinit; compinit -u -D; . {tmp_path}/complete; echo REA''DY\n"
    os.write(terminal, ready.encode())
    assert b"READY" in told(b"READY")
    os.write(terminal, b"resnet-lab train model.block=basic,bo\t")
    assert b"basic,bottleneck" in told(b"bottleneck")
    os.close(terminal)
    os.waitpid(pid, 0)
