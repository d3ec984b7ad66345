"""A trained net as a file for other programs, and what such a file says of itself."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import answering
from folders import CLASSES, config, make, picture
from resnet_lab.cli import main
from resnet_lab.config.identity import chosen
from resnet_lab.config.schema import TrainConfig
from resnet_lab.models import build
from resnet_lab.runs.checkpoints import RUN
from resnet_lab.runs.folder import RunFolder
from resnet_lab.trained import network as nets


@pytest.fixture
def run(make_config: Callable[..., TrainConfig], tmp_path: Path) -> Path:
    """The folder of a finished run on images that are gone, without the training."""
    root = make(tmp_path / "images")
    folder = RunFolder.create(make_config(data=config(root), model=answering.model(3)))
    shutil.rmtree(root)
    return answering.finished(folder).path


@pytest.mark.parametrize("kind", ["safetensors", "torch", "torch-export"])
def test_a_run_is_exported_with_its_scores_when_its_images_are_gone(
    kind: str, run: Path, tmp_path: Path
) -> None:
    out, trained, images = tmp_path / f"net.{kind}", nets.of_run(run), torch.randn(3, 3, 32, 32)
    assert main(["export", str(run), "--format", kind, "--out", str(out)]) == 0
    net = (
        torch.export.load(out).module()
        if kind == "torch-export"
        else build(replace(trained.model, weights=str(out))).eval()
    )
    torch.testing.assert_close(net(images), trained.load()(images), atol=1e-5, rtol=1e-4)


def test_onnx_gives_the_same_scores_of_any_number_of_images(run: Path, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    out = tmp_path / "net.onnx"
    assert main(["export", str(run), "--format", "onnx", "--out", str(out)]) == 0
    session = runtime.InferenceSession(out, providers=["CPUExecutionProvider"])
    net = nets.of_run(run).load()
    for count in (1, 5):
        images = torch.randn(count, 3, 32, 32)
        (scores,) = session.run(["scores"], {"x": images.numpy()})
        torch.testing.assert_close(torch.from_numpy(scores), net(images), atol=1e-5, rtol=1e-4)


def test_a_file_for_onnx_that_gives_other_scores_is_not_written(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr("resnet_lab.trained.export.CLOSE", -1.0)
    with pytest.raises(RuntimeError, match="other scores"):
        main(["export", str(run), "--format", "onnx", "--out", str(tmp_path / "net.onnx")])
    assert not list(tmp_path.glob("*.onnx"))


def test_onnx_without_its_extra_is_told(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("resnet_lab.trained.export.NEEDED", ("no_such_package",))
    assert main(["export", str(run), "--format", "onnx"]) == 2
    assert "pip install 'resnet-lab[onnx]'" in capsys.readouterr().err


def test_where_one_stands_has_a_name(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(run)
    assert main(["export", "."]) == 0
    written = Path(capsys.readouterr().out.strip())
    assert written.stem == run.name
    assert written.is_file()


def test_a_file_says_what_it_is_and_how_it_sees(run: Path, tmp_path: Path) -> None:
    assert main(["export", str(run), "--out", str(tmp_path / "a.safetensors")]) == 0
    assert main(["export", str(tmp_path / "a.safetensors"), "--out", str(tmp_path / "b.safetensors")]) == 0
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    again, first = nets.of_itself(tmp_path / "b.safetensors"), nets.of_run(run)
    assert again.seen is not None
    assert first.seen is not None
    assert again.seen.to_json() == first.seen.to_json()
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(again.load()(images), first.load()(images))


def test_a_net_from_elsewhere_is_exported_with_what_was_said_of_it(tmp_path: Path) -> None:
    weights = answering.foreign(tmp_path / "w.pth", 3, answer=2)
    (tmp_path / "names.txt").write_text("dog\neel\ncat\n")
    given = ["--mean", "0.5,0.4,0.3", "--std", "0.2,0.2,0.2", "--size", "32"]
    given += ["--classes", str(tmp_path / "names.txt"), "--weights", str(weights)]
    out = tmp_path / "net.safetensors"
    assert main(["export", "cifar_resnet20", *given, "--out", str(out), "model.zero_channels=split"]) == 0
    model, seen = answering.told(out)
    assert (model.zero_channels, model.num_classes, model.weights) == ("split", 3, None)
    assert (seen.size, seen.class_names) == ((32, 32), ("dog", "eel", "cat"))
    torch.testing.assert_close(seen.mean.flatten(), torch.tensor([0.5, 0.4, 0.3]))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["cifar_resnet20", "recipe.lr=7"], "export reads model.… alone"),
        (["cifar_resnet20", "model.deph=20"], "did you mean 'model.depth'"),
        (["{run}", "model.depth=20"], "names its network"),
        (["{run}", "--weights", "imagenet"], "names its network"),
        (["{run}", "--mean", "0.5", "--std", "0.5"], "records its preprocessing"),
        (["{run}/config.yaml"], "does not say what net it is of"),
        (["cifar_resnet20", "--weights", "{run}"], "is a run"),
        (["{run}", "--out", "nowhere/net.pth"], "cannot write nowhere"),
    ],
)
def test_what_does_not_fit_is_one_line(
    arguments: list[str], told: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", *(text.replace("{run}", str(run)) for text in arguments)]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1


def test_weights_that_a_run_wrote_see_as_the_run_and_a_file_that_was_put_there_does_not(
    run: Path, tmp_path: Path
) -> None:
    inside = run / "checkpoints" / "00000010.ckpt"
    inside.parent.mkdir(exist_ok=True)
    weights = {"state_dict": build(answering.model(3)).state_dict()}
    choices = {"depth": 8, "width": 4, "zero_channels": "append"}
    torch.save(weights | {RUN: {"chosen": chosen(RunFolder(run).config())}}, inside)
    of_run = nets.of_name("cifar_resnet20", str(inside), choices)
    assert of_run.seen is not None
    assert of_run.seen.class_names == CLASSES
    torch.save(weights, inside)
    assert nets.of_name("cifar_resnet20", str(inside), choices).seen is None
    assert main(["export", str(inside), "--out", str(tmp_path / "net")]) == 2


def test_a_file_that_does_not_say_how_it_sees_is_told_and_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net, image = tmp_path / "net.safetensors", tmp_path / "image.png"
    assert main(["export", "cifar_resnet20", "--out", str(net)]) == 0
    picture(0).save(image)
    given = ["--mean", "0.5", "--std", "0.25"]
    assert main(["predict", str(image), "--run", str(net), *given]) == 0
    assert "assumed the middle of an image at 32x32" in capsys.readouterr().err
    assert main(["export", str(net), "--format", "torch-export", "--out", str(tmp_path / "net.pt2")]) == 0
    assert main(["export", str(net), "--out", str(tmp_path / "seen.safetensors"), *given]) == 0
    assert answering.told(tmp_path / "seen.safetensors")[1].size == (32, 32)
    assert main(["evaluate", "--run", str(net), "data=digits", "--size", "32", *given]) == 2
    assert "expects 3 channels" in capsys.readouterr().err
