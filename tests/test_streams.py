"""Printing is no reason to lose a run, and what a command had to give is never lost in silence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from forked import ended, forked
from resnet_lab.errors import lacking
from resnet_lab.runs.folder import RunFolder
from run_folders import finished
from swept import configurations

CLI = f"{sys.executable} -m resnet_lab"


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, timeout=60, env={**os.environ, **environment}, check=False
    )


@pytest.fixture
def sweep(tmp_path: Path) -> str:
    """The command of a sweep that is finished, but for the folder of one run, which is damaged."""
    axes = ["seed=0,1", f"runs_root={tmp_path}"]
    first, _ = (finished(config, 1.0) for config in configurations(axes))
    first.record_file.write_text("[]")
    return f"{CLI} train -m {' '.join(axes)}"


@pytest.mark.parametrize(
    ("where", "unbuffered"),
    [
        *((each, "") for each in (">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full", "2>/dev/full", "&>/dev/full")),
        *((each, "1") for each in (">/dev/full", "| head -1")),  # where it fails at another moment
        ("| head -1", ""),
    ],
)
def test_sweep_ends_as_it_would_wherever_it_prints(where: str, unbuffered: str, sweep: str) -> None:
    done = shell(f"set -o pipefail; {sweep} {where}", PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 1, done.stderr
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr
    assert done.stderr.count(b"\n") == (where == ">/dev/full")


@pytest.mark.parametrize(
    ("command", "code", "lines"),
    [
        ("models >/dev/full", 1, 1),
        ("models >&-", 0, 0),
        ("models | head -1", 0, 0),
        ("train seeed=1 2>/dev/full", 2, 0),
    ],
)
def test_command_whose_output_is_lost_says_so(command: str, code: int, lines: int) -> None:
    done = shell(f"set -o pipefail; {CLI} {command}")
    assert (done.returncode, done.stderr.count(b"\n")) == (code, lines), done.stderr
    assert lines == 0 or done.stderr == b"resnet-lab: standard output: No space left on device\n"


def test_lock_and_log_never_get_what_was_printed_to_a_closed_stream(tmp_path: Path) -> None:
    """They would be given the descriptor of standard output."""
    folder = RunFolder.create(configurations([f"runs_root={tmp_path}"])[0])

    def closed() -> None:
        from resnet_lab.runs import __main__, train

        train.train = lambda *given: print("here") or given[-1]  # type: ignore[assignment]
        os.close(1)
        os.close(2)
        __main__.main([str(folder.path)])

    ended(forked(closed))
    assert folder.lock_file.read_text().startswith('{"pid"')
    assert "here" not in folder.log_file.read_text()


@pytest.mark.parametrize("locale", ["C", "POSIX", "en_US.ISO-8859-1"])
def test_what_an_encoding_lacks_is_escaped(locale: str) -> None:
    environment = {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    environment["PYTHONIOENCODING"] = "ascii"
    done = shell(f"{CLI} train -m 'name=„x“,y' seed=0 --cfg", **environment)
    assert done.returncode in (0, 2)
    assert b"Traceback" not in done.stderr
    assert (done.stdout + done.stderr).isascii()


@pytest.mark.parametrize("command", ["train debug=true", "train -m debug=true seed=0,1"])
def test_memory_too_small_to_start_is_one_line(command: str, tmp_path: Path) -> None:
    done = shell(f"ulimit -v 700000; {CLI} {command} runs_root={tmp_path}")
    assert done.returncode == 1
    *before, last = done.stderr.splitlines()
    assert last.startswith(b"resnet-lab: not enough memory: ")
    assert all(b": training " in line for line in before)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "not enough memory"),
        (OSError(12, "Cannot allocate memory"), "not enough memory"),
        (ImportError("libtorch.so: failed to map segment from shared object"), "not enough memory"),
        (ImportError("libtorch.so: cannot open shared object file: No such file"), None),
        (ValueError("memory"), None),
        (OSError(28, "No space left on device", "x.csv"), "no space left on x.csv"),
        (OSError(27, "File too large"), "ulimit -f"),
        (OSError(24, "Too many open files"), "ulimit -n"),
        (RuntimeError("Too many open files. Communication with the workers is over"), "ulimit -n"),
        (RuntimeError("unable to open shared memory object </torch_1> in read-write mode"), "data.workers=0"),
        (OSError(30, "Read-only file system", "runs"), "read-only"),
        (OSError(37, "No locks available"), "no locks"),
        (OSError(2, "No such file or directory", "x"), None),
        (RuntimeError("shape mismatch"), None),
    ],
)
def test_what_the_system_cannot_give_is_said_with_what_can_be_done(
    error: Exception, words: str | None
) -> None:
    told = lacking(error)
    assert told is None if words is None else words in str(told)


@pytest.mark.slow
def test_a_file_too_large_for_the_system_is_one_line(tmp_path: Path) -> None:
    small = "data=digits data.train_images=64 data.test_images=32 model.depth=8 recipe.epochs=1 trainer.progress=false"
    done = shell(f"ulimit -f 50; {CLI} train {small} runs_root={tmp_path} 2>&1 | tail -1")
    assert b"ulimit -f" in done.stdout
