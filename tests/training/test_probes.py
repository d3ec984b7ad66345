"""Measurements of layers, against nets whose figures are known."""

import pickle
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

import toy_training as toy
from resnet_lab.training.probes import GradientNorms, LayerResponses, layer_responses


class Unit(nn.Module):
    """A basic unit as in torchvision: its branch is a method, its ReLU works in place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 2, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(2)
        self.conv2 = nn.Conv2d(2, 2, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(2)
        self.downsample = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2))

    def forward(self, images: Tensor) -> Tensor:
        branch = torch.relu_(self.bn1(self.conv1(images)))
        return torch.relu_(self.bn2(self.conv2(branch)) + self.downsample(images))


def test_response_is_taken_after_batch_norm_and_before_relu_and_addition() -> None:
    torch.manual_seed(0)
    unit, images = Unit(), torch.randn(4, 2, 6, 6)
    with torch.no_grad():
        unit.bn1.weight.fill_(3.0)
        unit.eval()
        first = unit.bn1(unit.conv1(images))
        second = unit.bn2(unit.conv2(first.relu()))
        expected = {"conv1": float(first.std(correction=0)), "conv2": float(second.std(correction=0))}
    unit.train()
    before = {name: value.clone() for name, value in unit.state_dict().items()}
    assert layer_responses(unit, images) == pytest.approx(expected)
    assert unit.training
    assert all(torch.equal(value, before[name]) for name, value in unit.state_dict().items())
    pickle.dumps(unit)  # which a hook that was left would not let happen


def test_response_of_a_preactivated_layer_is_what_leaves_its_convolution() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.BatchNorm2d(2), nn.ReLU(), nn.Conv2d(2, 3, 3), nn.ReLU(), nn.BatchNorm2d(3))
    images = torch.randn(4, 2, 6, 6)
    with torch.no_grad():
        expected = float(net.eval()[:3](images).std(correction=0))
    assert layer_responses(net, images) == pytest.approx({"2": expected})


def test_compiled_net_is_measured_too() -> None:
    net, (images, _) = toy.net(), toy.images(8)
    plain = layer_responses(net, images)
    net.compile(backend="eager")
    net(images)
    net.load_state_dict(toy.net().state_dict())
    assert layer_responses(net, images) == pytest.approx(plain)
    assert list(plain) == ["0", "3"]


def test_tables_have_a_row_a_layer_every_nth_epoch_and_at_the_end(tmp_path: Path) -> None:
    responses, gradients = tmp_path / "layer_responses.csv", tmp_path / "gradient_norms.csv"
    module, _ = toy.fit(toy.recipe(epochs=3), LayerResponses(responses, 2), GradientNorms(gradients, 2))
    places = [(row["epoch"], row["layer_index"], row["layer"]) for row in toy.read(responses)]
    assert places == [(epoch, *layer) for epoch in "23" for layer in (("1", "0"), ("2", "3"))]
    assert [row["layer"] for row in toy.read(gradients)] == ["0", "3", "9"] * 2
    batch, _ = next(iter(toy.TestLoader(40)))
    expected = list(layer_responses(module.backbone, batch).values())
    assert [float(row["value"]) for row in toy.read(responses)[2:]] == pytest.approx(expected, rel=1e-5)


def test_gradient_norm_is_the_mean_over_the_steps_before_clipping(tmp_path: Path) -> None:
    path = tmp_path / "gradient_norms.csv"
    recipe = toy.recipe(epochs=1, lr=1e-12, clip=1e-6, weight_decay=0.0)  # a net that stands still
    toy.fit(recipe, GradientNorms(path), train_images=32)
    norms = []
    for images, labels in toy.TrainLoader(32, 16):
        net = toy.net()
        nn.functional.cross_entropy(net(images), labels).backward()
        norms.append(float(net[9].weight.grad.norm()))
    assert float(toy.read(path)[-1]["value"]) == pytest.approx(sum(norms) / 2, rel=1e-3)


def test_steps_that_fp16_skips_count_for_nothing_in_gradient_norms(tmp_path: Path) -> None:
    probe, net = GradientNorms(tmp_path / "norms.csv"), toy.net()
    module = SimpleNamespace(backbone=net)
    for gradient in (1.0, float("inf"), 3.0, float("nan")):
        for parameter in net.parameters():
            parameter.grad = torch.full_like(parameter, gradient)
        probe.on_before_optimizer_step(None, module, None)  # type: ignore[arg-type]
    bias_free = net[0].weight.numel() ** 0.5
    assert probe.measure(None, module)["0"] == pytest.approx(2 * bias_free)  # type: ignore[arg-type]
