"""Names of files and classes that are not UTF-8, or hold what a line or a picture would stumble over."""

import json
import os
from pathlib import Path

import pytest

from folders import config, picture
from resnet_lab.cli import main
from resnet_lab.config.request import compose
from resnet_lab.data import build, info
from resnet_lab.data.shards import Prepared
from resnet_lab.data.shards.prepare import prepare
from resnet_lab.data.show import show
from resnet_lab.errors import UserError, printable
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder

NAMES = [b"caf\xe9", b"two\nlines", "日本".encode(), b"$x^2"]
CLASSES = tuple(sorted(map(os.fsdecode, NAMES)))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for part in ("train", "val"):
        for number, name in enumerate(NAMES):
            folder = tmp_path / "images" / part / os.fsdecode(name)
            folder.mkdir(parents=True)
            picture(number, 40, 40).save(folder / os.fsdecode(b"b\xefld.png"))
    return tmp_path / "images"


def broken(root: Path) -> Path:
    path = root / "train" / os.fsdecode(NAMES[0]) / os.fsdecode(b"\xff.png")
    path.write_bytes(b"no image")
    return path


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain", "plain"),
        ("日本 é", "日本 é"),
        (os.fsdecode(b"caf\xe9"), r"caf\xe9"),
        ("two\nlines\t", r"two\nlines\t"),
        ("\u2028\ud800", r"\u2028\ud800"),
    ],
)
def test_any_name_is_one_line_of_text(name: str, shown: str) -> None:
    assert printable(name) == str(UserError(name)) == shown
    shown.encode()


def test_a_message_names_the_file(root: Path) -> None:
    broken(root)
    data = build(config(root), batch_size=5, drop_last=False, seed=0)
    data.setup()
    with pytest.raises(UserError, match=r"caf\\xe9/\\xff\.png: not an image"):
        list(data.train_dataloader())


def test_a_run_its_log_and_a_prediction_hold_the_names(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = broken(root)
    sizes = ["data.crop=32", "data.resize=36", "data.on_error=skip"]
    recipe = [
        "recipe.batch_size=5",
        "recipe.epochs=1",
        "recipe.warmup_iterations=0",
        "trainer.progress=false",
    ]
    chosen = [*sizes, *recipe, "model=resnet18", "model.width=4", f"runs_root={tmp_path / 'runs'}"]
    folder = RunFolder.create(compose(["data=image_folder", f"data.root={root}", "trainer=default", *chosen]))
    assert execute(folder.path).state == "finished"
    assert r"caf\xe9/\xff.png: not an image" in folder.log_file.read_text(encoding="utf-8")
    assert json.loads(folder.preprocessing_file.read_text())["class_names"] == list(CLASSES)

    images = [root / "val" / CLASSES[0] / os.fsdecode(b"b\xefld.png"), path]
    assert main(["predict", *map(str, images), "--run", str(folder.path)]) == 1
    told = capsys.readouterr()
    assert all(printable(name) in told.out for name in CLASSES)
    assert r"b\xefld.png" in told.out
    assert r"\xff.png" in told.err
    assert len(told.err.splitlines()) == 1


@pytest.mark.filterwarnings("ignore:Glyph")  # a box stands for what the font has not
def test_sheets_show_them(root: Path, tmp_path: Path) -> None:
    assert all(path.is_file() for path in show(config(root), tmp_path / "sheets"))


def test_shards_keep_them(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / os.fsdecode(b"sh\xe4rds")
    assert prepare(config(root), out, size=40) == 0
    assert r"sh\xe4rds" in capsys.readouterr().out
    assert Prepared(str(out)).class_names == info(config(root)).class_names == CLASSES
