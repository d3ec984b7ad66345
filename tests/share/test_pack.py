"""Runs as one archive: what is unpacked is what was packed, and nothing else is ever written."""

import hashlib
import json
import re
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from resnet_lab.cli import main
from resnet_lab.errors import UserError
from resnet_lab.models import create_model
from resnet_lab.report import collect
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder
from resnet_lab.share.archive import MANIFEST, _entry
from resnet_lab.share.pack import pack, unpack
from run_folders import configured, interrupted


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folder of a finished and an interrupted run, and the archive."""
    root = tmp_path_factory.mktemp("packed")
    small = {"data.train_images": 64, "data.test_images": 40, "recipe.epochs": 1, "trainer.progress": False}
    config = configured(
        root / "runs", 8, name="two", **small, **{"trainer.threads": 1, "trainer.accelerator": "cpu"}
    )
    execute(RunFolder.create(config).path)
    interrupted(configured(root / "runs", 8, seed=1, name="two"))
    pack(root / "runs/two", root / "two.zip")
    return root / "runs/two", root / "two.zip"


def unpacked(archive: Path, folder: Path) -> Path:
    """The one run of the archive, unpacked."""
    unpack(archive, folder)
    [run] = collect(folder)
    return run.path


def test_an_unpacked_run_is_tested_and_loaded_to_the_same_digits(
    packed: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    original = next(run.path for run in collect(packed[0]) if run.state == "finished")
    run = unpacked(packed[1], tmp_path / "two")
    assert run.name == original.name
    assert (run / "weights.safetensors").read_bytes() == (original / "weights.safetensors").read_bytes()
    assert RunFolder(run).state() == "finished"
    capsys.readouterr()
    tables = []
    for folder in (original, run):
        assert main(["evaluate", "--run", str(folder)]) == 0
        tables.append(capsys.readouterr().out)
    assert tables[0] == tables[1]
    card = (tmp_path / "two/README.md").read_text()
    assert f"{json.loads((run / 'record.json').read_text())['last']['test/error']:.2f}" in card
    assert f"--run {run.name}" in card
    assert {"table.md", "table.csv", "curves.png"} <= {path.name for path in (tmp_path / "two").iterdir()}
    ours, theirs = (
        create_model("cifar_resnet20", depth=8, in_channels=1, weights=str(folder))
        for folder in (original, run)
    )
    assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in ours.state_dict().items())


def test_the_same_runs_make_the_same_archive_which_tells_nothing_of_this_machine(
    packed: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack(packed[0], tmp_path / "again.zip")
    assert "1 of 2 runs" in capsys.readouterr().err  # the other is not finished
    assert (tmp_path / "again.zip").read_bytes() == packed[1].read_bytes()
    with zipfile.ZipFile(packed[1]) as archive:
        for name in archive.namelist():
            assert str(packed[0].parent.parent).encode() not in archive.read(name), name


def test_a_single_run_is_packed_below_its_name(packed: tuple[Path, Path], tmp_path: Path) -> None:
    run = next(run.path for run in collect(packed[0]) if run.state == "finished")
    pack(run, tmp_path / "one.zip")
    assert unpacked(tmp_path / "one.zip", tmp_path / "one").name == run.name


def test_where_no_run_is_finished_nothing_is_packed(tmp_path: Path) -> None:
    interrupted(configured(tmp_path / "runs", 8, name="none"))
    with pytest.raises(UserError, match="no finished run"):
        pack(tmp_path / "runs/none", tmp_path / "none.zip")
    assert not (tmp_path / "none.zip").exists()


SPOILT = {
    "empty weights": ("weights.safetensors", b""),
    "garbage weights": ("weights.safetensors", bytes(range(256)) * 99),
    "other weights": ("weights.safetensors", (2).to_bytes(8, "little") + b"{}"),
    "empty preprocessing": ("preprocessing.json", b""),
    "other preprocessing": ("preprocessing.json", b"[]"),
    "empty configuration": ("config.yaml", b""),
    "garbage configuration": ("config.yaml", b"\xff\x00: ["),
}


@pytest.mark.parametrize("fault", SPOILT)
def test_a_damaged_file_is_named_and_nothing_is_packed(
    fault: str, packed: tuple[Path, Path], tmp_path: Path
) -> None:
    run = tmp_path / next(run.path for run in collect(packed[0]) if run.state == "finished").name
    shutil.copytree(packed[0] / run.name, run)
    name, data = SPOILT[fault]
    (run / name).write_bytes(data)
    with pytest.raises(UserError, match=re.escape(str(run / name))):
        pack(tmp_path, tmp_path / "out.zip")
    assert not (tmp_path / "out.zip").exists()


def test_an_archive_that_would_fill_the_disk_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        data = bytes(2**20 * 80)
        archive.writestr(_entry("a.csv"), data)
        told = {"a.csv": {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}}
        archive.writestr(_entry(MANIFEST), json.dumps({"format": 1, "files": told}))
    with pytest.raises(UserError, match="more than 50 times as many"):
        unpack(bomb, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["bomb.zip"]


def test_a_folder_that_holds_something_is_left_alone(packed: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(UserError, match="--out names another"):
        unpack(packed[1], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def renamed(name: str) -> Callable[[zipfile.ZipInfo], None]:
    def change(entry: zipfile.ZipInfo) -> None:
        entry.filename = name

    return change


def as_link(entry: zipfile.ZipInfo) -> None:
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16


NAMES = [
    "../table.md",
    "/table.md",
    "a/../../table.md",
    "..\\table.md",
    "C:table.md",
    "table.py",
    "a//t.md",
    "./t.md",
]
BAD = {
    **{f"a file {name}": (renamed(name), "not to be trusted") for name in NAMES},
    "a link": (as_link, "not to be trusted"),
    "a file twice": (renamed("table.csv"), "not to be trusted"),
    "a file that the manifest does not tell of": (renamed("tables.md"), "not whole"),
}


@pytest.mark.parametrize("fault", BAD)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_that_leads_elsewhere_is_refused_and_leaves_nothing(
    fault: str, packed: tuple[Path, Path], tmp_path: Path
) -> None:
    change, told = BAD[fault]

    def moved(entry: zipfile.ZipInfo, data: bytes) -> bytes:
        if entry.filename == "table.md":
            change(entry)
        elif entry.filename == MANIFEST and "manifest" not in fault:
            manifest, place = json.loads(data), zipfile.ZipInfo("table.md")
            change(place)
            manifest["files"][place.filename] = manifest["files"].pop("table.md")
            return json.dumps(manifest).encode()
        return data

    refused(rewritten(packed[1], tmp_path / "bad.zip", moved), told)


def rewritten(archive: Path, to: Path, change: Callable[[zipfile.ZipInfo, bytes], bytes]) -> Path:
    with zipfile.ZipFile(archive) as sound, zipfile.ZipFile(to, "w") as bad:
        for entry in sound.infolist():
            data = sound.read(entry)
            bad.writestr(entry, change(entry, data))
    return to


def refused(archive: Path, told: str) -> None:
    with pytest.raises(UserError, match=told) as error:
        unpack(archive, archive.parent / "in/out")
    assert "\n" not in str(error.value)
    left = [path for path in archive.parent.rglob("*") if path.is_file()]
    assert left == [archive]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda told: told["files"]["table.md"].update(sha256="0" * 64), "not what was packed"),
        (lambda told: told["files"]["table.md"].update(bytes=3), "not what was packed"),
        (lambda told: told["files"]["table.md"].update(bytes=10**7), "not what was packed"),
        (lambda told: told["files"].pop("table.md"), "not whole"),
        (lambda told: told["files"].update({"more.md": told["files"]["table.md"]}), "not whole"),
        (lambda told: told.update(format=2), "format 2"),
        (lambda told: told.pop("files"), "not written by resnet-lab pack"),
        (lambda told: told.update(files=[1]), "not written by resnet-lab pack"),
    ],
)
def test_an_archive_that_is_not_what_its_manifest_tells_is_refused(
    change: Callable[[dict], None], told: str, packed: tuple[Path, Path], tmp_path: Path
) -> None:
    def changed(entry: zipfile.ZipInfo, data: bytes) -> bytes:
        if entry.filename != MANIFEST:
            return data
        manifest = json.loads(data)
        change(manifest)
        return json.dumps(manifest).encode()

    refused(rewritten(packed[1], tmp_path / "bad.zip", changed), told)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_an_archive_that_was_cut_short_is_refused(
    share: float, packed: tuple[Path, Path], tmp_path: Path
) -> None:
    whole = packed[1].read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: int(len(whole) * share)])
    refused(tmp_path / "cut.zip", "not a complete archive")


def test_a_changed_byte_of_the_weights_is_found(packed: tuple[Path, Path], tmp_path: Path) -> None:
    data = bytearray(packed[1].read_bytes())
    with zipfile.ZipFile(packed[1]) as archive:
        entry = next(each for each in archive.infolist() if each.filename.endswith(".safetensors"))
    data[entry.header_offset + entry.compress_size // 2] ^= 1
    (tmp_path / "changed.zip").write_bytes(data)
    refused(tmp_path / "changed.zip", "not a complete archive|not what was packed")
