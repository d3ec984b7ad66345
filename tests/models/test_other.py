"""Nets of any other kind: made, tried on two images, named by their file and arguments."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from resnet_lab.errors import UserError
from resnet_lab.models import OtherConfig, build
from resnet_lab.models.build import completed
from resnet_lab.models.counting import count

SHAPE = (3, 8, 8)
DENSENET = {"growth_rate": 4, "block_config": [2, 2], "num_init_features": 8, "bn_size": 2}
VIT: dict[str, Any] = {"image_size": 8, "patch_size": 4, "num_layers": 1, "num_heads": 2}
VIT |= {"hidden_dim": 16, "mlp_dim": 32}
CODE = """
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self, classes=10, norm=None, gives="scores"):
        super().__init__()
        self.fc, self.norm, self.gives = nn.Linear(192, classes), norm(192) if norm else None, gives
    def forward(self, images):
        scores = self.fc(images.flatten(1))
        listed = scores if self.training else [scores]
        return {"scores": scores, "pair": (scores, scores), "map": scores[..., None], "in a test": listed}[self.gives]
class Counting(Net):
    def forward(self, images):
        return super().forward(images) * (1 if float(images.sum().item()) >= 0 else 2)
class Empty(nn.Module):
    def __init__(self, num_classes): super().__init__()
    def forward(self, images): return images.flatten(1)
def nothing(num_classes): return 7
def broken(num_classes): raise RuntimeError("no\\nway")
"""


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "own_nets.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("own_nets", None)


def other(target: str, **choices: Any) -> OtherConfig:
    if target.startswith("own_nets.") and "classes_as" not in choices:
        choices["classes_as"] = "classes" if "Net" in target or "Counting" in target else "num_classes"
    return OtherConfig(_target_=target, **choices)


@pytest.mark.parametrize(
    ("target", "args", "parts"),
    [
        ("torchvision.models.DenseNet", DENSENET, "denseblock1"),
        ("torchvision.models.VisionTransformer", VIT, "encoder"),
        ("own_nets.Net", {}, "fc"),
    ],
)
def test_what_a_target_makes_is_the_net(target: str, args: dict[str, Any], parts: str) -> None:
    net = completed(other(target, args=args), SHAPE, 7)
    model = build(net)
    assert model(torch.zeros(2, *SHAPE)).shape == (2, 7)
    assert any(parts in name for name, _ in model.named_modules())
    assert net.num_classes == 7
    assert net.in_channels == 3
    counts = count(net.outline(SHAPE), SHAPE)
    assert counts.parameters == sum(each.numel() for each in model.parameters())
    assert counts.multiply_adds > 0


def test_densenet121_of_torchvision_is_taken_as_it_is_and_costs_no_memory_to_check() -> None:
    config = other("torchvision.models.densenet121", args={"drop_rate": 0.1}, head="classifier")
    net = completed(config, (3, 32, 32), 10)
    empty = net.outline((3, 32, 32))
    assert next(empty.parameters()).is_meta
    assert count(empty, (3, 32, 32)).parameters == 6_964_106  # torchvision's 7,978,856 with ten classes


def test_a_net_that_looks_at_its_images_is_tried_on_the_cpu() -> None:
    net = completed(other("own_nets.Counting"), SHAPE, 10)
    assert not next(net.outline(SHAPE).parameters()).is_meta


def test_trying_a_net_draws_nothing_of_what_training_draws() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    completed(other("own_nets.Counting"), (3, 8, 8), 9)
    assert torch.equal(torch.rand(1), expected)


def test_an_argument_may_be_made_by_a_target_of_its_own() -> None:
    norm = {"_target_": "torch.nn.BatchNorm1d", "_partial_": True, "momentum": 0.3}
    model = build(other("own_nets.Net", args={"norm": norm}, num_classes=3))
    assert isinstance(model.norm, nn.BatchNorm1d)
    assert model.norm.momentum == 0.3


def test_where_no_argument_takes_the_classes_the_net_decides_them() -> None:
    net = completed(other("own_nets.Net", args={"classes": 12}, classes_as=None), SHAPE, 10)
    assert net.num_classes == 12


def test_it_is_named_by_its_file_and_by_the_arguments_that_the_file_has_otherwise() -> None:
    config = other(
        "torchvision.models.DenseNet", args={"drop_rate": 0.1, "bn_size": 2}, name="dense", told=["drop_rate"]
    )
    assert config.label == "dense-drop_rate_0_1"
    assert config.kind == "dense (drop_rate=0.1)"
    assert config.paper_depth is None
    assert other("torchvision.models.DenseNet").kind == "DenseNet"


def test_weights_of_the_same_net_load_and_its_head_can_start_afresh(tmp_path: Path) -> None:
    first = build(other("own_nets.Net", num_classes=5))
    torch.save({f"backbone.{name}": value for name, value in first.state_dict().items()}, tmp_path / "a.pt")
    again = build(other("own_nets.Net", num_classes=5, weights=str(tmp_path / "a.pt")))
    assert torch.equal(again.fc.weight, first.fc.weight)
    fresh = build(
        other("own_nets.Net", num_classes=4, weights=str(tmp_path / "a.pt"), head="fc", reset_head=True)
    )
    assert fresh.fc.weight.shape == (4, 192)


NET = {"target": "own_nets.Net"}
MISTAKES: dict[str, dict[str, Any]] = {  # what is said of each
    "model._target_ is needed": {"target": ""},
    "no module 'torchvisoin'": {"target": "torchvisoin.models.densenet121"},
    "did you mean torchvision.models.densenet121": {"target": "torchvision.models.densenet12"},
    "unexpected keyword argument 'drop'": {"target": "torchvision.models.DenseNet", "args": {"drop": 0.1}},
    "'num_classes'": NET | {"classes_as": "num_classes"},
    "RuntimeError: no way": {"target": "own_nets.broken"},
    "gives int: an nn.Module is needed": {"target": "own_nets.nothing"},
    "has no parameters to train": {"target": "own_nets.Empty"},
    "gives tuple for 2 images of 3x8x8": NET | {"args": {"gives": "pair"}},
    "gives (2, 7, 1) for 2 images of 3x8x8": NET | {"args": {"gives": "map"}},
    "gives list for 2": NET | {"args": {"gives": "in a test"}},
    "gives 3 scores": NET | {"classes_as": None, "args": {"classes": 3}},
    "8": {"target": "torchvision.models.VisionTransformer", "args": VIT | {"image_size": 16}},
    "did you mean 'fc'": NET | {"head": "fx"},
    "model.reset_head needs": NET | {"reset_head": True},
    "no such file or run folder": NET | {"weights": "none.pt"},
}


@pytest.mark.parametrize("told", MISTAKES)
def test_a_mistake_is_told_in_one_line_before_there_is_a_run(told: str) -> None:
    with pytest.raises(UserError) as error:
        completed(other(**MISTAKES[told]), SHAPE, 7)
    assert told in str(error.value)
    assert "\n" not in str(error.value)
