"""A net is cut, tapped and built upon as torchvision's: its children are theirs, in the order of the forward pass."""

from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.detection.backbone_utils import BackboneWithFPN, _resnet_fpn_extractor
from torchvision.models.feature_extraction import create_feature_extractor

from resnet_lab.models import create_model

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "basic": ("resnet18", {"width": 8}),
    "bottlenecks": ("resnet50", {"width": 8}),
    "ResNet-D": ("resnet50_d", {"width": 8}),
    "3x3 stem": ("resnet18_cifar_stem", {"width": 8}),
    "squeeze and excitation": ("se_resnet50", {"width": 8}),
    "plain": ("plain18", {"width": 8}),
    "pre-activation": ("preact_resnet101", {"width": 8}),
    "small images": ("cifar_resnet20", {}),
    "gates": ("cifar_resnet20", {"shortcut": "exclusive_gating"}),
    "small images, pre-activation": ("cifar_resnet20", {"order": "full_preactivation"}),
    "bare stem": ("cifar_resnet20", {"order": "full_preactivation", "shared_preactivation": "projections"}),
    "ReLU-only": ("cifar_resnet20", {"order": "relu_only_preactivation"}),
    "checkpointing": ("cifar_resnet20", {"checkpointing": True}),
}


def net_of(kind: str) -> nn.Module:
    torch.manual_seed(0)
    name, choices = KINDS[kind]
    return create_model(name, **choices).eval()


def images() -> Tensor:
    return torch.randn(2, 3, 64, 64)


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2"])
def test_the_children_of_an_imagenet_net_are_torchvisions_in_their_order(name: str) -> None:
    with torch.device("meta"):
        ours, theirs = create_model(name), getattr(torchvision.models, name)()
    assert [child for child, _ in ours.named_children()] == [child for child, _ in theirs.named_children()]
    assert ours.inplanes == theirs.inplanes
    for unit in (0, 1):
        expected = {child for child, _ in theirs.layer2[unit].named_children()}
        assert {child for child, _ in ours.layer2[unit].named_children()} == expected | {"downsample"}


@pytest.mark.parametrize("kind", KINDS)
def test_children_one_after_the_other_give_what_the_net_gives_at_every_cut(kind: str) -> None:
    net, x = net_of(kind), images()
    seen: dict[str, Tensor] = {}
    for name, child in net.named_children():
        child.register_forward_hook(lambda _, __, output, name=name: seen.update({name: output}))
    with torch.no_grad():
        scores = net(x)
        expected = dict(seen)
        assert list(expected) == [name for name, _ in net.named_children()]
        children = list(net.named_children())
        for length, (name, _) in enumerate(children[:-1], start=1):
            cut = nn.Sequential(*(child for _, child in children[:length]))
            assert torch.equal(cut(x), expected[name]), name
        assert torch.equal(net.fc(nn.Sequential(*list(net.children())[:-1])(x).flatten(1)), scores)


@pytest.mark.parametrize("kind", KINDS)
def test_taps_by_name_give_what_the_net_computes_there(kind: str) -> None:
    net, x = net_of(kind), images()
    stages = [name for name, _ in net.named_children() if name.startswith("layer")]
    wanted = {name: name for name in (*stages, "avgpool")}
    with torch.no_grad():
        signal, expected = x, {}
        for name, child in net.named_children():
            signal = child(signal.flatten(1) if name == "fc" else signal)
            expected[name] = signal
        for taps in (IntermediateLayerGetter(net, wanted), create_feature_extractor(net, wanted)):
            found = taps(x)
            assert list(found) == list(wanted)
            assert all(torch.equal(found[name], expected[name]) for name in wanted)
    extractor = create_feature_extractor(net, {"layer1.0.bn1": "norm", "layer1.0.relu": "activated"})
    assert extractor(x)["norm"].min() < 0 or kind not in ("basic", "small images")  # no ReLU works in place


def test_detectors_of_torchvision_build_upon_a_net() -> None:
    net, x = create_model("resnet50").eval(), images()
    pyramids = (
        _resnet_fpn_extractor(net, trainable_layers=3),
        BackboneWithFPN(net, {"layer1": "0", "layer4": "1"}, [256, 2048], out_channels=256),
    )
    assert [list(pyramid(x)) for pyramid in pyramids] == [["0", "1", "2", "3", "pool"], ["0", "1", "pool"]]


def test_every_activation_can_be_exchanged_as_in_torchvisions_nets() -> None:
    net = net_of("basic")
    for module in net.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU):
                setattr(module, name, nn.Softplus())
    calls = []
    for module in net.modules():
        if isinstance(module, nn.Softplus):
            module.register_forward_hook(lambda *_: calls.append(1))
    net(images())
    assert len(calls) == 1 + 2 * 8
