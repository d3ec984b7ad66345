"""Weights travel to and from torchvision unchanged, and its published ones are fetched and checked."""

import hashlib
import re
from pathlib import Path
from urllib.parse import urlparse

import pytest
import torch
from torch import nn
from torchvision import models as torchvision_models
from torchvision.models import get_model_weights

from nets import uneven
from resnet_lab.errors import UserError
from resnet_lab.models import ModelConfig, build, create_model, named
from resnet_lab.models.published import VARIANTS, net_of, variant

# basic, bottleneck, grouped, wide
ONE_OF_EACH_KIND = ("resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2")
NETS = [name if name in ONE_OF_EACH_KIND else pytest.param(name, marks=pytest.mark.slow) for name in VARIANTS]


def assert_same_logits(net: nn.Module, other: nn.Module) -> None:
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        expected = other(images)
        assert expected.std() > 0.01
        torch.testing.assert_close(
            net.eval()(images), expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item()
        )


@pytest.mark.parametrize("name", NETS)
def test_weights_travel_to_and_from_torchvision_with_their_logits(name: str) -> None:
    theirs = uneven(getattr(torchvision_models, name)(num_classes=10))
    ours = create_model(name, num_classes=10)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    assert_same_logits(ours, theirs)
    ours = uneven(create_model(name, num_classes=10))
    theirs.load_state_dict(ours.state_dict(), strict=True)
    assert_same_logits(theirs, ours)


def test_the_table_of_published_weights_is_torchvisions() -> None:
    for name, variants in VARIANTS.items():
        theirs = get_model_weights(name)
        assert {member.name for member in theirs} == set(variants)
        assert theirs.DEFAULT is theirs[variants[-1]]
        for member in theirs:  # what checks a file is part of its address
            assert re.search(r"-[0-9a-f]{8}\.pth$", member.url)


def test_a_description_finds_its_published_weights_whatever_its_classes_and_training() -> None:
    for name in VARIANTS:
        assert net_of(named(name).resolved()) == name
        assert net_of(named(name, num_classes=7, drop_path=0.1, zero_init_gamma=True).resolved()) == name
    assert net_of(ModelConfig(family="imagenet", depth=50).resolved()) == "resnet50"
    assert net_of(named("resnet50", stride_on="1x1").resolved()) is None
    assert net_of(named("resnet50", order="full_preactivation").resolved()) is None
    assert net_of(named("resnet18_cifar_stem").resolved()) is None


@pytest.mark.parametrize(
    ("name", "weights", "expected"),
    [
        ("resnet50", "imagenet", "IMAGENET1K_V2"),
        ("resnet50", "DEFAULT", "IMAGENET1K_V2"),
        ("resnet50", "IMAGENET1K_V1", "IMAGENET1K_V1"),
        ("resnet18", "imagenet", "IMAGENET1K_V1"),
    ],
)
def test_imagenet_is_the_best_variant(name: str, weights: str, expected: str) -> None:
    assert variant(named(name, weights=weights).resolved()) == expected


@pytest.mark.parametrize(
    ("name", "weights", "expected"),
    [
        ("resnet18", "IMAGENET1K_V2", "did you mean 'IMAGENET1K_V1'"),
        ("resnet18", "imagnet", "no such file.* resnet18 has imagenet, IMAGENET1K_V1"),
        ("cifar_resnet20", "imagenet", "no weights are published for resnet-20: .*resnet18, resnet34"),
        ("resnet200", "IMAGENET1K_V1", "no weights are published for resnet-200"),
    ],
)
def test_weights_that_nobody_published_are_told_in_one_line(name: str, weights: str, expected: str) -> None:
    with pytest.raises(UserError, match=expected) as error:
        create_model(name, weights=weights)
    assert "\n" not in str(error.value)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torch.hub."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    return tmp_path / "cache" / "hub" / "checkpoints"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A published file at another address: resnet18's, named after its hash as torchvision names its own."""
    file = tmp_path / "resnet18.pth"
    torch.save(uneven(torchvision_models.resnet18()).state_dict(), file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    file = file.rename(tmp_path / f"resnet18-{digest[:8]}.pth")
    entry = torchvision_models.ResNet18_Weights.IMAGENET1K_V1
    monkeypatch.setattr(entry.value, "url", file.as_uri())
    return file


def test_published_weights_are_fetched_once_with_progress_and_kept(
    hub: Path, server: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = torchvision_models.resnet18()
    theirs.load_state_dict(torch.load(server, weights_only=True))
    net = create_model("resnet18", weights="IMAGENET1K_V1")
    assert_same_logits(net, theirs.eval())
    assert (hub / server.name).is_file()
    told = capsys.readouterr()
    assert not told.out  # a command's output is its result
    assert "100%" in told.err
    server.unlink()
    config = ModelConfig(
        family="imagenet", depth=18, in_channels=3, num_classes=5, weights="imagenet", head="reset"
    )
    assert torch.equal(build(config.check()).conv1.weight, theirs.conv1.weight)
    assert not capsys.readouterr().err


def test_published_weights_with_another_hash_are_refused_wherever_they_come_from(
    hub: Path, server: Path
) -> None:
    content = bytearray(server.read_bytes())
    content[len(content) // 2] ^= 1
    server.write_bytes(content)
    with pytest.raises(UserError, match="did not arrive as published") as error:
        create_model("resnet18", weights="imagenet")
    assert "\n" not in str(error.value)
    assert not list(hub.iterdir())

    (hub / server.name).write_bytes(content)
    with pytest.raises(UserError, match=f"{server.name} is damaged"):
        create_model("resnet18", weights="imagenet")


def test_without_a_network_the_error_says_which_file_goes_where(
    hub: Path, server: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"http://127.0.0.1:9/{server.name}"  # the discard port: nothing listens
    monkeypatch.setattr(torchvision_models.ResNet18_Weights.IMAGENET1K_V1.value, "url", address)
    with pytest.raises(UserError) as error:
        create_model("resnet18", weights="imagenet")
    message = str(error.value)
    assert "\n" not in message
    assert address in message
    assert str(hub / Path(urlparse(address).path).name) in message
    server.rename(hub / server.name)
    create_model("resnet18", weights="imagenet")
