"""Trained nets after their run: tested again, asked about images, written for other programs."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from sklearn.datasets import load_digits, load_sample_image

from resnet_lab.cli import main
from resnet_lab.config.schema import TrainConfig
from resnet_lab.models import create_model
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder
from resnet_lab.trained import network as nets


@pytest.fixture
def run(make_config: Callable[..., TrainConfig]) -> Path:
    """The folder of a finished run."""
    data = {"mean": "channel", "divide_by_std": True}
    folder = RunFolder.create(make_config(recipe={"epochs": 2}, data=data))
    assert execute(folder.path).error is None
    return folder.path


def numbers(line: str) -> list[float]:
    return [float(word) for word in line.split()[-4:]]


def test_a_run_tested_again_has_its_records_error_and_what_does_not_fit_it_is_one_line(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {file: file.stat().st_mtime_ns for file in run.rglob("*")}
    capsys.readouterr()
    assert main(["evaluate", "--run", str(run)]) == 0
    last = json.loads((run / "record.json").read_text())["last"]
    *_, line = capsys.readouterr().out.strip().splitlines()
    assert numbers(line)[:2] == [round(last[f"test/{key}"], 2) for key in ("error", "top5_error")]
    assert numbers(line)[3] == 80
    assert {file: file.stat().st_mtime_ns for file in run.rglob("*")} == before, "nothing is written"
    assert nets.of_run(str(run)).run == nets.of_itself(str(run)).run
    for arguments, told in (
        (["--protocol", "ten_crp"], "ten_crop"),
        (["--protocol", "ten_crop"], "single_view"),
        (["seed=1"], "evaluate reads"),
        (["data=fashion_mnist"], "sees 8x8 pixels"),
        (["data=cifar10", "data.size=8"], "expects 1 channels"),
        (["data.flip=false"], "only training reads it"),
        (["data.mean=pixel"], "knows its own normalisation"),
        (["model.zero_channels=split"], "a run names its network"),
        (["data.tset_images=1"], "tset_images"),
    ):
        assert main(["evaluate", "--run", str(run), *arguments]) == 2
        assert told in capsys.readouterr().err
    (run / "record.json").unlink()
    assert main(["evaluate", "--run", str(run)]) == 0
    assert "interrupted: taking iteration" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["evaluate"], "--run RUN_DIR"),
        (["evaluate", "--run", "nowhere"], "not a run folder"),
        (["evaluate", "--model", "resnet18"], "needs its own"),
        (["predict", "x.png"], "name one net"),
        (["predict", "x.png", "--model", "resnet18"], "--weights imagenet"),
        (["export", "resnt18"], "did you mean 'resnet18'"),
        (["export", "resnet18", "--format", "onx"], "did you mean 'onnx'"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1


def test_predictions_are_those_of_the_test_set_and_a_bad_file_is_one_line(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digit = np.round(load_digits().images[0] * (255 / 16)).astype(np.uint8)
    Image.fromarray(digit).save(tmp_path / "zero.png")
    Image.fromarray(digit).convert("CMYK").resize((80, 80)).save(tmp_path / "zero.jpg")
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    capsys.readouterr()
    files = [str(tmp_path / name) for name in ("zero.png", "bad.jpg", "zero.jpg", "absent.png")]
    assert main(["predict", *files, "--run", str(run), "--top", "3"]) == 1
    out, err = capsys.readouterr()
    assert [line for line in out.splitlines() if not line.startswith(" ")] == [files[0], files[2]]
    assert len(out.splitlines()) == 2 * (1 + 3)
    assert "bad.jpg: not an image" in err
    assert "absent.png: No such file" in err

    told = json.loads((run / "preprocessing.json").read_text())
    pixels = (torch.from_numpy(digit).float()[None] / 255 - torch.tensor(told["mean"])) / torch.tensor(
        told["std"]
    )
    chances = nets.of_run(run).load()(pixels[None]).softmax(1)[0]
    first = out.splitlines()[1].split()
    assert first == [f"{100 * chances.max().item():.2f}", "%", str(chances.argmax().item())]


def test_files_of_every_kind_are_seen_by_a_named_net(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(create_model("resnet18").state_dict(), tmp_path / "w.pth")
    photograph = Image.fromarray(load_sample_image("flower.jpg"))
    kinds = {"rgb.jpg": "RGB", "grey.png": "L", "cmyk.jpg": "CMYK", "palette.png": "P"}
    for name, mode in kinds.items():
        photograph.convert(mode).save(tmp_path / name)
    files = [str(tmp_path / name) for name in kinds]
    assert main(["predict", *files, "--model", "resnet18", "--weights", str(tmp_path / "w.pth")]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(kinds) * 6


def test_safetensors_say_what_net_they_are_of(tmp_path: Path) -> None:
    out = tmp_path / "net.safetensors"
    assert main(["export", "cifar_resnet20", "--out", str(out)]) == 0
    with safe_open(out, "pt") as file:
        assert json.loads(file.metadata()["model"])["depth"] == 20


def test_a_run_without_a_checkpoint_is_told(
    make_config: Callable[..., TrainConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder.create(make_config())
    assert main(["evaluate", "--run", str(folder.path)]) == 2
    assert "train it first" in capsys.readouterr().err


def test_a_normalisation_that_was_not_the_runs_is_refused(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = json.loads((run / "preprocessing.json").read_text())
    for key, values, told in (
        ("std", [0.0], "above 0"),
        ("mean", [99.0], "from 0 to 1"),
        ("mean", [0.1], "it is damaged, or of another run"),
    ):
        (run / "preprocessing.json").write_text(json.dumps(seen | {key: values}))
        assert main(["evaluate", "--run", str(run)]) == 2
        line = capsys.readouterr().err
        assert told in line
        assert line.count("\n") == 1
