"""`resnet-lab evaluate --details`: what a net gets wrong, in files that add up to the error that is printed."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import answering
from folders import CLASSES, make
from resnet_lab.cli import main
from resnet_lab.config.schema import TrainConfig
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder
from resnet_lab.training.protocols import PROTOCOLS

FILES = {"predictions.csv", "confusion.csv", "per_class.csv", "mistakes.png"}


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.open()))


def wrong(folder: Path) -> int:
    """By confusion.csv, whose rows must add up to the classes that predictions.csv has."""
    counts = table(folder / "confusion.csv")
    labels = [row["label"] for row in table(folder / "predictions.csv")]
    for row in counts:
        assert sum(int(cell) for cell in list(row.values())[1:]) == labels.count(row["label"])
    return len(labels) - sum(int(row[row["label"]]) for row in counts)


def printed(out: str, row: int) -> float:
    """The top-1 error of a row of the table."""
    title = next(place for place, line in enumerate(out.splitlines()) if "top-1" in line)
    return float(out.splitlines()[title + 1 + row].split()[-4])


@pytest.fixture
def run(make_config: Callable[..., TrainConfig]) -> RunFolder:
    folder = RunFolder.create(make_config(recipe={"epochs": 1}))
    execute(folder.path)
    return folder


def test_a_run_leaves_what_its_net_answered_and_the_same_test_again_says_the_same(
    run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert {path.name for path in run.path.iterdir()} >= FILES
    before = (run.path / "predictions.csv").read_text()
    error = json.loads(run.record_file.read_text())["last"]["test/error"]
    assert wrong(run.path) == round(error * 80 / 100)
    (run.path / "predictions.csv").unlink()
    assert main(["evaluate", "--run", str(run.path), "--details"]) == 0
    again = table(run.path / "predictions.csv")
    assert [row["prediction"] for row in again] == [line.split(",")[2] for line in before.splitlines()[1:]]
    assert f"details: {run.path}" in capsys.readouterr().out.replace("\n", "")


def test_another_test_leaves_the_runs_own_answers_alone(run: RunFolder) -> None:
    before = (run.path / "predictions.csv").read_text()
    assert main(["evaluate", "--run", str(run.path), "--details", "data.test_images=20"]) == 0
    assert (run.path / "predictions.csv").read_text() == before
    assert len(table(run.path / "digits-single_view" / "predictions.csv")) == 20


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_files_add_up_to_the_printed_error_under_every_protocol(
    protocol: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, out = make(tmp_path / "images", images=10), tmp_path / "out"
    net = answering.ours(tmp_path / "net.safetensors", ("eel", "fox", *CLASSES[:2]), None)
    command = ["evaluate", "--run", str(net), "--protocol", protocol, "--details", "--out", str(out)]
    assert main([*command, "data=image_folder", f"data.root={root}"]) == 0
    assert {path.name for path in out.iterdir()} == FILES
    assert 0 < wrong(out) < 30
    assert printed(capsys.readouterr().out, 0) == round(100 * wrong(out) / 30, 2)
    rows = table(out / "predictions.csv")
    assert [(row["image"], row["label"]) for row in rows[:2]] == [
        ("cat/00.jpg", "cat"),
        ("cat/01.jpg", "cat"),
    ]
    assert Image.open(out / "mistakes.png").size[0] > 900


def test_several_nets_have_a_folder_each_and_their_agreement(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, out = make(tmp_path / "images", images=2), tmp_path / "out"
    nets = []
    for folder, answer in (("a", "dog"), ("b", "cat"), ("c", "cat")):
        (tmp_path / folder).mkdir()
        nets += ["--run", str(answering.ours(tmp_path / folder / "net.safetensors", CLASSES, answer))]
    data = ["data=image_folder", f"data.root={root}"]
    assert main(["evaluate", *nets, *data, "--details", "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    names = ["net.safetensors", "net.safetensors-2", "net.safetensors-3", "ensemble"]
    assert [wrong(out / name) for name in names] == [4, 4, 4, 4]
    pairs = table(out / "agreement.csv")
    assert [float(row["same_answer"]) for row in pairs] == [0.0, 0.0, 100.0]
    assert [float(row["both_wrong"]) for row in pairs] == [pytest.approx(100 / 3, rel=1e-4)] * 2 + [
        pytest.approx(200 / 3, rel=1e-4)
    ]
    assert "images that are taken for another class: 2 by 1, 2 by 2, 2 by 3 of the 3 nets" in shown


def test_image_that_is_broken_is_in_no_row_and_moves_no_name(tmp_path: Path) -> None:
    root, out = make(tmp_path / "images", images=3), tmp_path / "out"
    (root / "val" / "cat" / "01.jpg").write_bytes(b"")
    net = answering.ours(tmp_path / "net.safetensors", CLASSES, "dog")
    data = ["data=image_folder", f"data.root={root}", "data.on_error=skip"]
    assert main(["evaluate", "--run", str(net), *data, "--details", "--out", str(out)]) == 0
    images = {row["image"]: row["label"] for row in table(out / "predictions.csv")}
    assert len(images) == 8
    assert "cat/01.jpg" not in images
    assert all(name.startswith(label) for name, label in images.items())


@pytest.mark.parametrize(
    ("options", "told"),
    [(["--details"], "--out FOLDER says where"), (["--out", "there"], "--out goes with --details")],
)
def test_where_details_go_is_known_before_anything_is_tested(
    options: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = answering.ours(tmp_path / "net.safetensors", CLASSES, "dog")
    data = ["data=image_folder", f"data.root={make(tmp_path / 'images', images=1)}"]
    assert main(["evaluate", "--run", str(net), *data, *options]) == 2
    assert told in capsys.readouterr().err
