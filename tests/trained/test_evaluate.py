"""Testing nets on images: each sees them as it was tested, and answers for classes by their names."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torchvision.models import ResNet50_Weights

import answering
from folders import CLASSES, config, make, picture
from resnet_lab.cli import main
from resnet_lab.config.schema import TrainConfig
from resnet_lab.data.preprocessing import Preprocessing, by_channel
from resnet_lab.reference import imagenet_classes
from resnet_lab.runs import weights_file
from resnet_lab.runs.folder import RunFolder
from resnet_lab.trained import network
from resnet_lab.trained.views import AsTrained

Evaluated = Callable[..., str]
APPEND = "model.zero_channels=append"  # what weights from elsewhere cannot tell


@pytest.fixture
def evaluated(capsys: pytest.CaptureFixture[str]) -> Evaluated:
    """What `resnet-lab evaluate` prints; where it refuses, its one line."""

    def evaluate(*arguments: object) -> str:
        capsys.readouterr()
        code = main(["evaluate", *map(str, arguments)])
        out, err = capsys.readouterr()
        assert code == (2 if err.startswith("resnet-lab: ") else 0), err
        assert err.count("\n") == (code == 2)
        return err or out

    return evaluate


def images(root: Path, **classes: int) -> list[str]:
    """root/val/CLASS with so many images each, and the keys that name them."""
    for split in ("train", "val"):
        for name, count in classes.items():
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                picture(number).save(folder / f"{number}.jpg")
    return of_folder(root)


def elsewhere(folder: Path, *options: object) -> tuple[object, ...]:
    """The options that name a net of three classes from elsewhere, which answers the first."""
    weights = answering.foreign(folder / "w.pth", 3, answer=0)
    return "--model", "cifar_resnet20", "--weights", weights, APPEND, *options


def of_digits(folder: Path) -> tuple[object, ...]:
    """The options that name a net of ten classes and one channel from elsewhere, and the digits."""
    made = answering.net(answering.model(10, depth=20, width=16, in_channels=1), 3)
    torch.save(made.state_dict(), folder / "w.pth")
    net = ("--model", "cifar_resnet20", "--weights", folder / "w.pth", APPEND)
    return *net, "model.in_channels=1", "data=digits"


def of_folder(root: Path) -> list[str]:
    return ["data=image_folder", f"data.root={root}"]


def error(out: str, row: int = -1) -> float:
    return float(out.strip().splitlines()[row].split()[-4])


def test_a_class_is_its_name_wherever_it_stands(tmp_path: Path, evaluated: Evaluated) -> None:
    net = answering.ours(tmp_path / "net.safetensors", CLASSES, "dog")
    out = evaluated("--run", net, *images(tmp_path / "same", cat=1, dog=2, eel=1))
    assert error(out) == 50.0
    assert "tested all 4 images; all 3 classes" in out
    out = evaluated("--run", net, *images(tmp_path / "fewer", eel=1, dog=2))
    assert error(out) == 33.33
    assert "2 of the net's 3 classes, matched by name; errors count against all 3" in out


def test_a_class_that_a_net_does_not_know_is_refused(tmp_path: Path, evaluated: Evaluated) -> None:
    net = answering.ours(tmp_path / "net.safetensors", CLASSES, "dog")
    data = images(tmp_path / "images", **dict.fromkeys((*CLASSES, "fox"), 1))
    assert "does not know class 'fox'" in evaluated("--run", net, *data)


def test_a_net_of_imagenet_is_tested_on_some_of_its_classes(tmp_path: Path, evaluated: Evaluated) -> None:
    data = images(tmp_path / "images", golden_retriever=3, tench=1)
    ids = [row["id"] for row in imagenet_classes()]
    out = evaluated("--run", answering.ours(tmp_path / "ours.safetensors", ids, "n02099601"), *data)
    assert error(out) == 25.0
    assert "2 of the net's 1,000 classes" in out

    torch.save(answering.net(answering.model(1000, depth=20, width=16), 207).state_dict(), tmp_path / "w.pth")
    foreign = ("--model", "cifar_resnet20", "--weights", tmp_path / "w.pth", APPEND)
    assert error(evaluated(*foreign, *data, "data.crop=32", "data.resize=36")) == 25.0


def test_a_net_from_elsewhere_is_told_its_classes(tmp_path: Path, evaluated: Evaluated) -> None:
    data = images(tmp_path / "images", dog=3, cat=1)
    net = elsewhere(tmp_path)
    assert "--classes" in evaluated(*net, *data)
    (tmp_path / "names.txt").write_text("dog\neel\ncat\n")
    out = evaluated(*net, *data, "--classes", tmp_path / "names.txt", "--size", 32)
    assert error(out) == 25.0
    assert "assumed ImageNet's mean and std" in out
    make(tmp_path / "trained_on")
    out = evaluated(*net, *data, "--classes", tmp_path / "trained_on" / "train", "--size", 32)
    assert error(out) == 75.0, "the first output is cat, the first folder"
    (tmp_path / "names.txt").write_text("dog\neel\n")
    assert "--classes names 2 classes" in evaluated(*net, *data, "--classes", tmp_path / "names.txt")
    (tmp_path / "names.txt").write_text("dog\ncat\ndog\n")
    assert "names 'dog' twice" in evaluated(*net, *data, "--classes", tmp_path / "names.txt")


def test_how_many_images_were_tested_is_said(tmp_path: Path, evaluated: Evaluated) -> None:
    net = answering.ours(tmp_path / "net.safetensors", CLASSES, "dog")
    root = make(tmp_path / "images")
    assert "tested all 30 images" in evaluated("--run", net, *of_folder(root))
    assert "tested 6 of 30 images" in evaluated("--run", net, *of_folder(root), "data.test_images=6")
    flat = make(tmp_path / "flat", splits=("",))
    assert "tested 6 of 30 images (data.test_share=0.2 of a folder" in evaluated(
        "--run", net, *of_folder(flat)
    )


def test_two_nets_of_one_name_are_an_ensemble_and_one_net_or_other_classes_are_not(
    tmp_path: Path, evaluated: Evaluated
) -> None:
    data = images(tmp_path / "images", dog=3, cat=1)
    nets = []
    for folder, answer in (("a", "dog"), ("b", "cat")):
        (tmp_path / folder).mkdir()
        nets += ["--run", answering.ours(tmp_path / folder / "net.safetensors", CLASSES, answer)]
    out = evaluated(*nets, *data)
    assert [error(out, row) for row in (-3, -2)] == [25.0, 75.0]
    assert "ensemble of 2" in out.strip().splitlines()[-1]
    assert "named twice" in evaluated(
        *nets[:2], "--run", tmp_path / "b" / ".." / "a" / "net.safetensors", *data
    )
    other = answering.ours(tmp_path / "other.safetensors", CLASSES[::-1], "dog")
    assert "other classes, or in another order" in evaluated(*nets[:2], "--run", other, *data)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((), r"assumed mean 0\.\d+ and std 0\.\d+ of the training images"),
        (("--mean", "0.3", "--std", "0.4"), None),
        (("data.mean=pixel",), None),
    ],
    ids=["assumed", "given", "as the data"],
)
def test_what_is_assumed_of_a_net_from_elsewhere_is_said(
    given: tuple[str, ...], said: str | None, tmp_path: Path, evaluated: Evaluated
) -> None:
    out = evaluated(*of_digits(tmp_path), *given)
    assert "tested all 360 images; 10 of the net's 10 classes, matched by the set's own order" in out
    assert ("does not record its preprocessing" in out) == (said is not None)
    assert said is None or re.search(said, out)


def test_each_net_sees_its_own_normalisation(tmp_path: Path) -> None:
    def seen(mean: torch.Tensor, std: list[float]) -> Preprocessing:
        return Preprocessing(3, (8, 8), None, mean, by_channel(std))

    pixels = torch.rand(2, 3, 8, 8)
    data, net = seen(torch.rand(3, 8, 8), [1.0, 1.0, 1.0]), seen(by_channel([0.5, 0.4, 0.3]), [0.2, 0.3, 0.4])
    given = AsTrained(torch.nn.Identity(), of_data=data, of_net=net, precision="32")(
        (pixels - data.mean) / data.std
    )
    torch.testing.assert_close(given, (pixels - net.mean) / net.std)
    same = AsTrained(torch.nn.Identity(), of_data=data, of_net=data, precision="32")
    assert same(pixels) is pixels


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (["recipe.lr=7"], "recipe.lr=7: evaluate reads model.… and metrics.… and data.… alone"),
        (["seed"], "evaluate reads"),
        (["model.zero_chanels=split"], "did you mean 'model.zero_channels'"),
        (["model.depth=deep"], "model.depth: "),
        (["model.depth=20,32"], "model.depth=20,32: one value is needed"),
        (["model=resnet50"], "named by --model"),
        (["model.weights=imagenet"], "named by --weights"),
        (["data.flip=false"], "only training reads it"),
        (["--mean", "0.5", "--std", "0.5", "data.mean=pixel"], "knows its own normalisation"),
        (["--mean", "0.5"], "--mean and --std go together"),
        (["--mean", "127", "--std", "1"], "divide what is meant for 0 to 255"),
        (["--mean", "a,b,c", "--std", "1"], "a number for each channel"),
        (["--mean", "0.5,0.5,0.5", "--std", "0.5"], "expects 1 channels"),
        (["--mean", "0.5", "--std", "0"], "cannot be divided by 0"),
        (["--size", "32"], "sees 32x32 pixels"),
        (["--resize", "32"], "--size says"),
        (["--classes", "nowhere"], "cannot read --classes nowhere"),
        (["--protocol", "ten_crop"], "single views"),
        (["model.depth=21"], "model.depth=21"),
    ],
)
def test_a_key_or_option_that_does_not_fit_is_one_line(
    keys: list[str], told: str, tmp_path: Path, evaluated: Evaluated
) -> None:
    assert told in evaluated(*of_digits(tmp_path), *keys)


def test_nets_that_see_other_parts_of_an_image_are_no_ensemble_unless_told_what_to_see(
    tmp_path: Path, evaluated: Evaluated
) -> None:
    one = answering.ours(tmp_path / "one.safetensors", CLASSES, "dog")
    net, seen = answering.told(one)
    other = tmp_path / "other.safetensors"
    weights_file.write(other, answering.net(net, 1), net, replace(seen, resize=40))
    data = images(tmp_path / "images", dog=3, cat=1)
    assert "sees 32 of 36 pixels and other.safetensors 32 of 40" in evaluated(
        "--run", one, "--run", other, *data
    )
    assert error(evaluated("--run", one, "--run", other, *data, "data.crop=32", "data.resize=32")) == 25.0


def test_a_key_that_the_protocol_does_not_read_is_refused(tmp_path: Path, evaluated: Evaluated) -> None:
    net = answering.ours(tmp_path / "net.safetensors", CLASSES, "dog")
    data = images(tmp_path / "images", dog=3, cat=1)
    for keys, told in (
        (["--protocol", "ten_crop", "data.resize=300"], "data.resize=300: only --protocol single_view"),
        (["--protocol", "multi_scale", "data.test_crop=32"], "only --protocol single_view reads it"),
        (["data.scale_min=48"], "only training reads it"),
    ):
        assert told in evaluated("--run", net, *data, *keys)


def test_a_run_is_tested_at_another_size_whatever_its_training_scales_were(
    make_config: Callable[..., TrainConfig], tmp_path: Path, evaluated: Evaluated
) -> None:
    run = make_config(data=config(make(tmp_path / "images")), model=answering.model(3))
    folder = answering.finished(RunFolder.create(run))
    assert run.data.scale_min < 48
    assert "all 30 images" in evaluated("--run", folder.path, "data.resize=48", "data.crop=48")


def test_published_weights_are_seen_as_torchvision_tested_them() -> None:
    seen = network.as_published(ResNet50_Weights.IMAGENET1K_V2)
    assert (seen.size, seen.resize) == ((224, 224), 232)
    assert seen.class_names[:2] == ("tench", "goldfish")
