"""experiment=finetune: from a file of weights to new images, with the backbone frozen or not."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from resnet_lab.cli import main
from resnet_lab.config.identity import identity, path_of
from resnet_lab.config.request import compose
from resnet_lab.debug import photographs as debug_images
from resnet_lab.errors import UserError
from resnet_lab.models import create_model
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder
from swept import expanded


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Of a net with 1000 classes, in the layout of torchvision's published files."""
    torch.manual_seed(0)
    file = tmp_path / "resnet18.pth"
    torch.save(create_model("resnet18", width=8).state_dict(), file)
    return file


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return debug_images.make(tmp_path / "photographs")


def asked(weights: Path, images: Path) -> list[str]:
    small = ["data.crop=32", "data.resize=36", "recipe.epochs=1"]
    small += ["data.train_images=16", "data.test_images=8"]
    chosen = [f"data.root={images}", "model=resnet18", f"model.weights={weights}", "recipe.batch_size=8"]
    chosen += ["model.width=8"] if weights.suffix else []  # a published net has its own width
    local = [f"runs_root={weights.parent / 'runs'}", "trainer.accelerator=cpu", "trainer.progress=false"]
    return ["experiment=finetune", *chosen, *small, *local]


def moved(run: Path, before: dict[str, Tensor]) -> list[str]:
    after = load_file(run / "weights.safetensors")
    return [
        name for name, value in before.items() if name[:3] != "fc." and not torch.equal(after[name], value)
    ]


def test_the_sweep_has_a_frozen_and_a_full_variant(weights: Path, images: Path) -> None:
    before = torch.load(weights, weights_only=True)
    runs = {}
    for job in expanded(asked(weights, images)):
        config = compose(job)
        folder = RunFolder.create(config)
        assert execute(folder.path).error is None
        runs[config.recipe.freeze] = folder.path
        assert load_file(folder.path / "weights.safetensors")["fc.weight"].shape == (2, 64)
    assert moved(runs["backbone"], before) == []
    assert set(moved(runs["none"], before)) == {name for name in before if name[:3] != "fc."}


def test_one_run_trains_every_layer_unless_asked_otherwise(weights: Path, images: Path) -> None:
    assert compose(asked(weights, images)).recipe.freeze == "none"
    assert compose([*asked(weights, images), "recipe.freeze=backbone"]).recipe.freeze == "backbone"


def test_weights_are_known_by_what_they_are_and_not_by_where_they_lie(weights: Path, images: Path) -> None:
    before = identity(compose(asked(weights, images)))
    moved = shutil.copy(weights, weights.with_name("moved.pth"))
    assert identity(compose(asked(Path(moved), images))) == before
    folder = RunFolder.create(compose(asked(weights, images)))
    torch.manual_seed(1)
    torch.save(create_model("resnet18", width=8).state_dict(), weights)
    assert identity(compose(asked(weights, images))) != before
    error = execute(folder.path).error
    assert error.kind == "user_error"
    assert "model.weights names other weights" in error.message


def test_weights_of_a_run_that_was_trained_anew_make_another_run(tmp_path: Path) -> None:
    pre = tmp_path / "pre"
    (pre / "checkpoints").mkdir(parents=True)
    state = {f"backbone.{name}": value for name, value in create_model("cifar_resnet20").state_dict().items()}
    found, more = set(), ["model.zero_channels=append", "debug=true"]
    for step in (10, 20):  # not finished yet: its newest checkpoint counts
        checkpoint = {"state_dict": state, "global_step": step}
        torch.save(checkpoint, pre / "checkpoints" / f"{step:08d}.ckpt")
        found.add(identity(compose(["data=cifar10", "model.depth=20", f"model.weights={pre}", *more])))
    (pre / "record.json").write_text('{"state": "finished"}')
    for seed in (0, 1):
        torch.manual_seed(seed)
        save_file(create_model("cifar_resnet20").state_dict(), pre / "weights.safetensors")
        found.add(identity(compose(["data=cifar10", "model.depth=20", f"model.weights={pre}", *more])))
    assert len(found) == 4


def test_other_images_are_another_run_and_moved_ones_are_not(
    weights: Path, images: Path, tmp_path: Path
) -> None:
    here = compose(asked(weights, images))
    other = debug_images.make(tmp_path / "paintings" / "photographs")
    (other / "train" / "china" / "00.jpg").unlink()
    assert identity(compose(asked(weights, other))) != identity(here)
    elsewhere = debug_images.make(tmp_path / "elsewhere" / "photographs")
    assert path_of(compose(asked(weights, elsewhere))) == path_of(here)


def test_a_frozen_backbone_needs_weights() -> None:
    with pytest.raises(UserError, match=r"for example model\.weights=imagenet"):
        compose(["recipe.freeze=backbone"])


def test_freezing_is_a_choice_that_older_runs_need_not_know() -> None:
    chosen = ["model=resnet18", "model.weights=imagenet", "model.head=reset", "data=cifar10"]
    plain = compose(chosen)
    assert identity(compose([*chosen, "recipe.freeze=none"])) == identity(plain)
    assert identity(compose([*chosen, "recipe.freeze=backbone"])) != identity(plain)


def test_debug_leaves_out_published_weights_and_keeps_a_files(weights: Path, tmp_path: Path) -> None:
    debug = ["experiment=finetune", "model=resnet18", "debug=true", f"runs_root={tmp_path}"]
    assert compose(debug).model.weights is None
    assert compose([*debug, f"model.weights={weights}"]).model.weights == str(weights)


def test_a_run_that_cannot_fetch_its_weights_says_so_in_one_line(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from torchvision.models import ResNet18_Weights

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    address = "http://127.0.0.1:9/resnet18-f37072fd.pth"  # the discard port: nothing listens
    monkeypatch.setattr(ResNet18_Weights.IMAGENET1K_V1.value, "url", address)
    folder = RunFolder.create(compose([*asked(Path("imagenet"), images), f"runs_root={tmp_path}"]))
    record = execute(folder.path)
    assert record.state == "failed"
    assert "without a network, put that file there" in record.error.message
    assert "\n" not in record.error.message
    told = [line for line in capfd.readouterr().out.splitlines() if "cannot fetch" in line]
    assert len(told) == 1


def test_a_tuned_net_knows_the_folders_classes(
    weights: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder.create(compose([*asked(weights, images), "recipe.freeze=backbone"]))
    execute(folder.path)
    Image.new("RGB", (60, 40), "red").save(images.parent / "red.png")
    capsys.readouterr()
    assert main(["predict", str(images.parent / "red.png"), "--run", str(folder.path)]) == 0
    names = {line.split()[-1] for line in capsys.readouterr().out.splitlines()[1:]}
    assert names == set(json.loads(folder.preprocessing_file.read_text())["class_names"])
