"""Every net is tested on the pixels that it was trained on, wherever it comes from: figures are plain torch's."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from sklearn.datasets import load_digits

from folders import used
from resnet_lab import template
from resnet_lab.cli import main
from resnet_lab.config.own_code import with_sources
from resnet_lab.config.schema import TrainConfig, TrainerConfig
from resnet_lab.data.spec import SmallImagesConfig
from resnet_lab.models import ModelConfig, build
from resnet_lab.models.build import build as made
from resnet_lab.models.other import OtherConfig
from resnet_lab.runs.checkpoints import newest_sound
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder
from resnet_lab.training.recipes import RecipeConfig

DATA = SmallImagesConfig(name="digits", train_images=400, test_images=100, pad=1, flip=False)
# All training images, so another normalisation than the runs'.
SAME_DATA = ["data=digits", "data.test_images=100"]
Tested = Callable[..., list[tuple[float, float]]]
OWN_NET = "my_net.Net"
WAYS = {  # how each run normalises
    "pixel": {"mean": "pixel"},
    "channel": {"mean": "channel", "divide_by_std": True},
}


class Known(SimpleNamespace):
    """A finished run and, worked out in plain torch, the probabilities (N, 10) that its net gives the test images."""

    folder: RunFolder
    mean: torch.Tensor
    std: float
    probabilities: torch.Tensor


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Known]]:
    """One run for each way to normalise, and one of a net of one's own."""
    root = tmp_path_factory.mktemp("normalised")
    (root / "my_net.py").write_text((Path(template.__file__).parent / "project/my_net.py").read_text())
    sys.path.insert(0, str(root))
    torch.set_num_threads(1)
    net = ModelConfig(depth=20, width=16, in_channels=1, num_classes=10).resolved()
    own = OtherConfig(_target_=OWN_NET, classes_as="classes", channels_as="channels", name="mine")
    try:
        yield {
            "pixel": finished(root, net, "pixel"),
            "channel": finished(root, net, "channel"),
            "own": finished(root, replace(own, in_channels=1, num_classes=10).resolved(), "channel"),
        }
    finally:
        sys.path.remove(str(root))
        sys.modules.pop("my_net", None)


def finished(root: Path, model: object, way: str) -> Known:
    config = TrainConfig(
        data=replace(DATA, **WAYS[way]),
        model=model,
        recipe=RecipeConfig(name="digits", epochs=6, batch_size=32, schedule="one_cycle", lr=0.05),
        trainer=TrainerConfig(accelerator="cpu", threads=1, progress=False),
        runs_root=str(root / "runs"),
    )
    folder = RunFolder.create(with_sources(config))
    assert execute(folder.path).error is None
    pixels = used(DATA)["train"][0][..., 0] / 255
    mean = pixels.mean(0) if way == "pixel" else pixels.mean()
    std = pixels.std(correction=0).item() if way == "channel" else 1.0
    net = made(replace(model)).eval()
    net.load_state_dict(load_file(folder.weights_file))
    return Known(folder=folder, mean=mean, std=std, probabilities=probabilities(net, mean, std))


def images() -> tuple[torch.Tensor, torch.Tensor]:
    """The test images (N, 8, 8) of 0 to 1, and their labels."""
    pixels, labels = used(DATA)["test"]
    assert float(load_digits().images.max()) == 16  # which the set has as 255
    return pixels[..., 0] / 255, labels


def probabilities(net: torch.nn.Module, mean: torch.Tensor | float, std: float) -> torch.Tensor:
    with torch.inference_mode():
        return net(((images()[0] - mean) / std)[:, None]).softmax(1)


def figures(probabilities: torch.Tensor) -> tuple[float, Any]:
    """Top-1 error (per cent) and loss, as they are printed."""
    labels = images()[1]
    error = 100 * (probabilities.argmax(1) != labels).double().mean().item()
    loss = torch.nn.functional.nll_loss(probabilities.clamp_min(1e-30).log(), labels).item()
    return round(error, 2), pytest.approx(loss, abs=0.001)


@pytest.fixture
def tested(capsys: pytest.CaptureFixture[str]) -> Tested:
    """Top-1 error and loss of each row that `resnet-lab evaluate` prints."""

    def evaluate(*arguments: object) -> list[tuple[float, float]]:
        capsys.readouterr()
        assert main(["evaluate", *map(str, arguments)]) == 0
        lines = capsys.readouterr().out.strip().splitlines()
        start = next(place for place, line in enumerate(lines) if "top-1" in line)
        cells = [line.split()[-4:] for line in lines[start + 1 :] if line.rstrip()[-1:].isdigit()]
        return [(float(each[0]), float(each[2])) for each in cells]

    return evaluate


def foreign(run: Known, path: Path) -> list[object]:
    """Bare weights of the run's net, as another program would leave them."""
    torch.save(load_file(run.folder.weights_file), path)
    net = ["model.in_channels=1", f"model.zero_channels={run.folder.config().model.zero_channels}"]
    return ["--model", "cifar_resnet20", "--weights", path, *net]


def test_the_runs_differ_in_what_they_would_say_of_other_pixels(runs: dict[str, Known]) -> None:
    pixel, channel = runs["pixel"], runs["channel"]
    net = build(channel.folder.config().model).eval()
    net.load_state_dict(load_file(channel.folder.weights_file))
    assert figures(probabilities(net, pixel.mean, pixel.std)) != figures(channel.probabilities)


@pytest.mark.parametrize("way", ["pixel", "channel", "own"])
@pytest.mark.parametrize("data", [[], SAME_DATA], ids=["its own data", "data that normalise otherwise"])
@pytest.mark.parametrize("source", ["folder", "unpacked", "exported", "checkpoint"])
def test_a_net_that_knows_its_normalisation_is_tested_with_it(
    way: str, data: list[str], source: str, runs: dict[str, Known], tmp_path: Path, tested: Tested
) -> None:
    run = runs[way]
    path = run.folder.path
    if source == "unpacked":
        assert main(["pack", str(path), "--out", str(tmp_path / "runs.zip")]) == 0
        assert main(["unpack", str(tmp_path / "runs.zip"), "--out", str(tmp_path / "theirs")]) == 0
        path = next((tmp_path / "theirs").rglob("config.yaml")).parent
    elif source == "exported":
        assert main(["export", str(path), "--out", str(tmp_path / "net.safetensors")]) == 0
        path, data = tmp_path / "net.safetensors", SAME_DATA
    elif source == "checkpoint":
        last = newest_sound(run.folder.checkpoints, run.folder.config())
        assert last is not None
        path = last
    assert tested("--run", path, *data) == [figures(run.probabilities)]


def test_a_file_from_elsewhere_is_tested_as_it_is_said_to_see_or_as_the_data_normalise(
    runs: dict[str, Known], tmp_path: Path, tested: Tested
) -> None:
    run = runs["channel"]
    net = foreign(run, tmp_path / "w.pth")
    given = ["--mean", run.mean.item(), "--std", run.std]
    assert tested(*net, *SAME_DATA, *given) == [figures(run.probabilities)]
    there = build(run.folder.config().model).eval()
    there.load_state_dict(load_file(run.folder.weights_file))
    pixels = used(SmallImagesConfig(name="digits"))["train"][0][..., 0] / 255
    std = pixels.std(correction=0).item()
    for keys, mean in ((["data.mean=pixel"], pixels.mean(0)), ([], pixels.mean())):
        assert tested(*net, *SAME_DATA, *keys) == [figures(probabilities(there, mean, std))]


@pytest.mark.parametrize("order", [("pixel", "channel"), ("channel", "pixel"), ("own", "pixel")])
def test_nets_of_an_ensemble_each_see_their_own_normalisation(
    order: tuple[str, str], runs: dict[str, Known], tested: Tested
) -> None:
    nets = [runs[name] for name in order]
    arguments = [text for net in nets for text in ("--run", net.folder.path)]
    mean = torch.stack([net.probabilities for net in nets]).mean(0)
    expected = [*(figures(net.probabilities) for net in nets), figures(mean)]
    assert tested(*arguments) == expected
    assert tested(*arguments, *SAME_DATA) == expected


def test_a_file_from_elsewhere_joins_an_ensemble_with_its_own_normalisation(
    runs: dict[str, Known], tmp_path: Path, tested: Tested
) -> None:
    pixel, channel = runs["pixel"], runs["channel"]
    net = foreign(channel, tmp_path / "w.pth")
    given = ["--mean", channel.mean.item(), "--std", channel.std]
    mean = torch.stack([pixel.probabilities, channel.probabilities]).mean(0)
    expected = [figures(each) for each in (pixel.probabilities, channel.probabilities, mean)]
    assert tested("--run", pixel.folder.path, *net, *given) == expected
