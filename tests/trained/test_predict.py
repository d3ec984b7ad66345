"""What a net sees in image files: a run's, an exported file's, and one from elsewhere that is told how it sees."""

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import answering
from folders import CLASSES, picture
from forked import killed
from resnet_lab.cli import main
from resnet_lab.config.schema import TrainConfig
from resnet_lab.models import create_model
from resnet_lab.runs.folder import RunFolder
from resnet_lab.trained import network

APPEND = "model.zero_channels=append"
CIFAR = ("--mean", "0.491,0.482,0.447", "--std", "0.247,0.243,0.262")

Predicted = Callable[..., tuple[int, str, str]]


def elsewhere(folder: Path) -> tuple[object, ...]:
    """The options that name a net of three classes from elsewhere, which answers the last."""
    weights = answering.foreign(folder / "w.pth", 3, answer=2)
    return "--model", "cifar_resnet20", "--weights", weights


@pytest.fixture
def image(tmp_path: Path) -> Path:
    picture(0).save(tmp_path / "image.jpg")
    return tmp_path / "image.jpg"


@pytest.fixture
def predicted(image: Path, capsys: pytest.CaptureFixture[str]) -> Predicted:
    """The exit code, output and errors of `resnet-lab predict` on one image."""

    def predict(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["predict", str(image), *map(str, arguments)])
        return code, *capsys.readouterr()

    return predict


def test_an_exported_file_knows_how_it_sees_and_what_it_answers(tmp_path: Path, predicted: Predicted) -> None:
    code, out, err = predicted("--run", answering.ours(tmp_path / "net.safetensors", CLASSES, "eel"))
    assert (code, err) == (0, "")
    assert out.splitlines()[1].split()[-1] == "eel"


def test_a_class_name_that_is_not_utf8_is_shown(tmp_path: Path, predicted: Predicted) -> None:
    cafe = os.fsdecode(b"caf\xe9")
    code, out, _ = predicted("--run", answering.ours(tmp_path / "net.safetensors", ("bar", cafe), cafe))
    assert code == 0
    assert r"caf\xe9" in out


def test_a_net_from_elsewhere_is_told_how_it_sees_and_what_is_assumed_is_said(
    tmp_path: Path, predicted: Predicted
) -> None:
    (tmp_path / "names.txt").write_text("dog\neel\ncat\n")
    net = (*elsewhere(tmp_path), APPEND, *CIFAR)
    code, out, err = predicted(*net, "--size", 32, "--classes", tmp_path / "names.txt")
    assert (code, err) == (0, "")
    assert out.splitlines()[1].split()[-1] == "cat"
    code, out, err = predicted(*net)
    assert code == 0
    assert "class 2" in out
    assert err.count("\n") == 1
    assert "assumed the middle of an image at 32x32" in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((APPEND,), "--mean and --std are needed"),
        ((APPEND, "--mean", "0.5,0.5,0.5"), "go together"),
        ((APPEND, "recipe.lr=7"), "recipe.lr=7: predict reads model.… alone"),
        ((APPEND, "data.root=x"), "predict reads model.… alone"),
        (("model.zero_chanels=split",), "did you mean 'model.zero_channels'"),
    ],
)
def test_what_does_not_fit_is_one_line(
    arguments: tuple[str, ...], told: str, tmp_path: Path, predicted: Predicted
) -> None:
    net = elsewhere(tmp_path)
    for order in (arguments, arguments[::-1] if all("=" in text for text in arguments) else arguments):
        code, _, err = predicted(*net, *order)
        assert code == 2
        assert told in err
        assert err.count("\n") == 1


def test_where_zeros_are_padded_is_read(tmp_path: Path, predicted: Predicted) -> None:
    torch.manual_seed(0)
    torch.save(create_model("cifar_resnet20").state_dict(), tmp_path / "w.pth")
    net = ("--model", "cifar_resnet20", "--weights", tmp_path / "w.pth", *CIFAR, "--size", "32")
    append, split = (predicted(f"model.zero_channels={way}", *net) for way in ("append", "split"))
    assert append[0] == split[0] == 0
    assert append[1] != split[1]


def test_a_run_that_was_killed_knows_how_it_sees(
    make_config: Callable[..., TrainConfig], predicted: Predicted
) -> None:
    folder = RunFolder.create(make_config())
    killed(folder, "after", 5)
    code, out, err = predicted("--run", folder.path)
    assert code == 0
    assert "interrupted: taking iteration 5" in err
    assert len(out.splitlines()) == 1 + 5


def test_a_net_that_knows_how_it_sees_is_told_nothing(tmp_path: Path, predicted: Predicted) -> None:
    ours = answering.ours(tmp_path / "net.safetensors", CLASSES, "eel")
    assert "records its preprocessing" in predicted("--run", ours, *CIFAR)[2]
    assert "goes with --model" in predicted("--run", ours, "model.depth=20")[2]
    other = predicted("--model", "cifar_resnet20", "--weights", ours)[2]
    assert "model.depth=8" in other
    named = ("--model", "cifar_resnet20", "--weights", ours, "model.depth=8", "model.width=4")
    assert predicted(*named)[:2] == predicted("--run", ours)[:2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures at two depths, a text, a file that only looks like a picture, and a link back."""
    (tmp_path / "album" / "train").mkdir(parents=True)
    for number, name in enumerate(("b.png", "train/a.jpg", "train/c.png")):
        picture(number).save(tmp_path / "album" / name)
    (tmp_path / "album" / "notes.txt").write_text("no picture")
    (tmp_path / "album" / "train" / "back").symlink_to(tmp_path / "album")
    return tmp_path / "album"


def test_a_folder_stands_for_the_pictures_below_it(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = answering.ours(tmp_path / "net.safetensors", CLASSES, "eel")
    assert main(["predict", str(folder), "--run", str(net), "--top", "1"]) == 0
    names = [line for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")]
    assert names == [str(folder / name) for name in ("b.png", "train/a.jpg", "train/c.png")]
    (tmp_path / "empty").mkdir()
    assert main(["predict", str(tmp_path / "empty"), "--run", str(net)]) == 2
    assert "holds no picture" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["csv", "json"])
def test_predictions_are_a_file_with_every_probability(
    form: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "bad.jpg").write_bytes(b"no image")
    net = answering.ours(tmp_path / "net.safetensors", CLASSES, None)
    assert main(["predict", str(folder), "--run", str(net), "--format", form]) == 1
    out, err = capsys.readouterr()
    assert "bad.jpg: not an image" in err
    if form == "csv":
        rows = list(csv.DictReader(out.splitlines()))
        shares = [{name: float(row[name]) for name in CLASSES} for row in rows]
    else:
        rows = json.loads(out)
        shares = [{each["class"]: each["probability"] for each in row["classes"]} for row in rows]
    assert [row["image"] for row in rows] == [
        str(folder / name) for name in ("b.png", "train/a.jpg", "train/c.png")
    ]
    loaded = network.of_itself(net)
    assert loaded.seen is not None
    for row, share in zip(rows, shares, strict=True):
        pixels = loaded.seen(Path(row["image"]).read_bytes())
        with torch.inference_mode():
            chances = loaded.load()(pixels[None]).softmax(1)[0].tolist()
        assert share == pytest.approx(dict(zip(CLASSES, chances, strict=True)), abs=1e-5)
        assert row["prediction"] == max(share, key=lambda name: share[name])
        assert float(row["probability"]) == pytest.approx(max(share.values()), abs=1e-6)


def test_a_format_or_a_number_of_classes_that_does_not_fit_is_one_line(
    image: Path, tmp_path: Path, predicted: Predicted
) -> None:
    net = answering.ours(tmp_path / "net.safetensors", CLASSES, None)
    for options, told in (
        (("--format", "cvs"), "did you mean 'csv'"),
        (("--format", "csv", "--top", "3"), "--format csv has every class"),
        (("--top", "0"), "at least 1"),
    ):
        code, out, err = predicted("--run", net, *options)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert told in err


def test_a_pipe_in_the_place_of_a_picture_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    net = answering.ours(tmp_path / "net.safetensors", CLASSES, "eel")
    assert main(["predict", str(tmp_path / "pipe.jpg"), "--run", str(net)]) == 1
    assert "pipe.jpg: it is not a regular file" in capsys.readouterr().err
