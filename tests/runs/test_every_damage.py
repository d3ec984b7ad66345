"""Every file of a run folder, damaged in many ways, before every command: no traceback, no other run, no figure."""

import csv
import os
import random
import re
import shutil
import traceback
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from resnet_lab.cli import main

FILES = (
    *("config.yaml", "record.json", "history.csv", "preprocessing.json", "weights.safetensors"),
    *("predictions.csv", "log.txt", "lock", "checkpoints/*.ckpt", "checkpoints"),
)
WORDS = (
    *(b"nan", b"-1", b"1e400", b"null", b"[]", b"{}", b"many", b"99999999999999999999", b'"', b"\x00"),
    b"\xff",
)
Damage = Callable[[Path, Path, random.Random], object]


def cut(path: Path, other: Path, chance: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: chance.randrange(len(data) + 1)])


def flipped(path: Path, other: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes() or b"?")
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def filled(path: Path, other: Path, chance: random.Random) -> None:
    """A page of it is zeros, as after a crash of the machine."""
    data = bytearray(path.read_bytes())
    start = chance.randrange(len(data) + 1)
    path.write_bytes(bytes(data[:start]) + bytes(len(data[start : start + 512])) + bytes(data[start + 512 :]))


def reworded(path: Path, other: Path, chance: random.Random) -> None:
    """A number is another word."""
    data = path.read_bytes()
    numbers = list(re.finditer(rb"\d+(\.\d+)?", data[:100_000])) or [re.match(b"", data)]
    found = chance.choice(numbers)
    assert found is not None
    path.write_bytes(data[: found.start()] + chance.choice(WORDS) + data[found.end() :])


def doubled(path: Path, other: Path, chance: random.Random) -> None:
    path.write_bytes(2 * path.read_bytes())


def without_a_line(path: Path, other: Path, chance: random.Random) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    del lines[chance.randrange(len(lines)) if lines else 0 :][:1]
    path.write_bytes(b"".join(lines))


def of_another_run(path: Path, other: Path, chance: random.Random) -> None:
    shutil.copy(other, path)


def gone(path: Path, other: Path, chance: random.Random) -> None:
    path.unlink()


def a_folder(path: Path, other: Path, chance: random.Random) -> None:
    path.unlink()
    path.mkdir()


def a_pipe(path: Path, other: Path, chance: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def a_link(path: Path, other: Path, chance: random.Random) -> None:
    path.unlink()
    path.symlink_to(chance.choice(("nowhere", path.name, "/dev/zero")))


def noise(path: Path, other: Path, chance: random.Random) -> None:
    path.write_bytes(chance.randbytes(2_000))


def forbidden(path: Path, other: Path, chance: random.Random) -> None:
    path.chmod(0)  # to root, as which a container may run, nothing is


ONCE: tuple[Damage, ...] = (of_another_run, gone, a_folder, a_pipe, a_link, doubled, forbidden)
DRAWN: tuple[Damage, ...] = (cut, flipped, filled, reworded, without_a_line, noise)


def attempts(ways: int) -> Iterator[tuple[str, Damage, int]]:
    """Each file with so many ways to damage it; the same ones each time."""
    for file in FILES:
        for number in range(ways):
            damage = ONCE[number] if number < len(ONCE) else DRAWN[number % len(DRAWN)]
            if file != "checkpoints" or damage in (gone, a_pipe, a_link):
                yield file, damage, number


ASKED = (
    *("data=digits", "data.train_images=96", "data.test_images=40", "data.validation=20", "model.depth=8"),
    *("model.width=4", "recipe=digits", "recipe.epochs=1", "recipe.batch_size=32", "trainer.accelerator=cpu"),
    *("trainer.threads=1", "trainer.progress=false", "name=sweep"),
)


def commands(run: Path, root: Path) -> dict[str, list[str]]:
    """Every command that reads a run folder; what they write lies in `root`."""
    sweep, picture = str(run.parent), str(root / "picture.png")
    return {
        "report": ["report", sweep, "--out", str(root / "report"), "--figures", "svg"],
        "page": ["report", sweep, "--page", "--out", str(root / "page")],
        "view": ["report", sweep, "--format", "csv", "--by", "model.depth"],
        "status": ["status", sweep],
        "pack": ["pack", sweep, "--out", str(root / "packed.zip")],
        "evaluate": ["evaluate", "--run", str(run)],
        "predict": ["predict", picture, "--run", str(run)],
        "export": ["export", str(run), "--out", str(root / "net.safetensors")],
        "weights": ["train", *ASKED, f"model.weights={run}", "debug=limit", f"runs_root={root / 'fine'}"],
        "train": ["train", *ASKED, "seed=0", f"runs_root={root}"],
    }


SAME = ("evaluate", "predict", "train")  # say the same figure as of the sound run, or fail


def prepared(root: Path) -> dict[str, str]:
    """Two finished runs that differ in the seed, and what each command says of them."""
    for seed in (1, 0):
        assert called(["train", *ASKED, f"seed={seed}", f"runs_root={root}"])[0] == 0
    Image.effect_noise((8, 8), 50).save(root / "picture.png")
    said = {}
    for name, arguments in commands(run_of(root, 0), root).items():
        code, said[name], err = called(arguments)
        assert code == 0, (name, err)
        said[name] = figures(said[name])
    said["runs"] = errors(root)
    return said


def run_of(root: Path, seed: int) -> Path:
    (run,) = (root / "sweep").glob(f"*-s{seed}-*")
    return run


def figures(output: str) -> str:
    """The numbers with a decimal point that a command prints."""
    return " ".join(re.findall(r"\d+\.\d+", output))


def errors(root: Path) -> dict[str, str]:
    """The test error of each finished run that a report counts."""
    if not (root / "report" / "runs.csv").is_file():
        return {}
    with (root / "report" / "runs.csv").open(newline="") as file:
        return {
            row["run"]: row["last_test_error"] for row in csv.DictReader(file) if row["state"] == "finished"
        }


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def called(arguments: list[str]) -> tuple[int, str, str]:
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(arguments)
    return code, out.getvalue(), err.getvalue()


def faults(root: Path, said: dict[str, Any], file: str, damage: Damage, number: int) -> Iterator[str]:
    """What goes wrong when the first of the runs is damaged so, and each command called."""
    run, other = run_of(root, 0), run_of(root, 1)
    paths = sorted(run.glob(file))[-1:]
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
            path.touch()
        damage(path, sorted(other.glob(file))[-1], random.Random(number))
    before = contents(other)
    for name, arguments in commands(run, root).items():
        shutil.rmtree(root / "report", ignore_errors=True)
        try:
            code, out, err = called(arguments)
        except BaseException:
            yield f"{name}: {traceback.format_exc(limit=-3)}"
            continue
        if "Traceback" in out + err or code not in (0, 1, 2):
            yield f"{name}: exit code {code}: {err}"
        if contents(other) != before:
            yield f"{name}: another run was touched"
            before = contents(other)
        if code == 0 and name in SAME and figures(out) != said[name]:
            yield f"{name}: {figures(out)} instead of {said[name]}"
        if name == "report":
            found = errors(root)
            if found.get(other.name) != said["runs"][other.name]:
                yield f"{name}: the other run is left out: {err}"
            if found.get(run.name, said["runs"][run.name]) != said["runs"][run.name]:
                yield f"{name}: {found} instead of {said['runs']}"


def tried(truth: Path, said: dict[str, Any], room: Path, attempt: tuple[str, Damage, int]) -> list[str]:
    shutil.copytree(truth, room, symlinks=True)
    try:
        file, damage, number = attempt
        return [f"{file}, {damage.__name__}, {number}: {line}" for line in faults(room, said, *attempt)]
    finally:
        shutil.rmtree(room)


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    root = tmp_path_factory.mktemp("truth")
    return root, prepared(root)


FEW = (
    ("record.json", reworded, 21),
    ("record.json", of_another_run, 0),
    ("config.yaml", a_pipe, 3),
    ("record.json", a_pipe, 3),
    ("weights.safetensors", flipped, 8),
    ("checkpoints/*.ckpt", a_link, 4),
)


@pytest.mark.parametrize("attempt", FEW, ids=lambda attempt: f"{attempt[0]}-{attempt[1].__name__}")
def test_a_damaged_file_costs_its_own_run_a_line(
    attempt: tuple[str, Damage, int], truth: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    assert tried(*truth, tmp_path / "room", attempt) == []


@pytest.mark.slow
def test_every_file_damaged_in_every_way_costs_its_own_run_a_line(
    truth: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    found = [tried(*truth, tmp_path / "room", attempt) for attempt in attempts(len(ONCE) + len(DRAWN))]
    assert [line for lines in found for line in lines] == []
