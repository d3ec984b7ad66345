"""Units as the papers draw them: what each shortcut adds, where each order activates, how weights start."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nets import uneven
from resnet_lab.errors import UserError
from resnet_lab.models import create_model
from resnet_lab.models.layers import DropPath
from resnet_lab.models.orders import SHARED_PREACTIVATION
from resnet_lab.models.shortcuts import SHORTCUTS as SHORTCUT_KINDS
from resnet_lab.models.shortcuts import Identity


def unit(place: str = "layer1.1", **choices: Any) -> nn.Module:
    """A unit of a small net, its batch norms as uneven as training leaves them."""
    torch.manual_seed(0)
    net = create_model("cifar_resnet20", width=4, **{"depth": 14, **choices})
    return uneven(net).get_submodule(place)


def branch(u: nn.Module, x: Tensor) -> Tensor:
    """he2015 Figure 2, written out."""
    return u.bn2(u.conv2(F.relu(u.bn1(u.conv1(x)))))


def images() -> Tensor:
    return torch.randn(2, 4, 8, 8)


def gate(u: nn.Module, x: Tensor) -> Tensor:
    return torch.sigmoid(F.conv2d(x, u.downsample.gate.weight, u.downsample.gate.bias))


SHORTCUTS = {
    "A": lambda u, x, f: x + f,
    "none": lambda u, x, f: f,
    "constant_scaling": lambda u, x, f: 0.5 * x + 0.5 * f,
    "exclusive_gating": lambda u, x, f: (1 - gate(u, x)) * x + gate(u, x) * f,
    "shortcut_only_gating": lambda u, x, f: (1 - gate(u, x)) * x + f,
    "C": lambda u, x, f: u.downsample[1](u.downsample[0](x)) + f,
    "conv": lambda u, x, f: u.downsample[1](u.downsample[0](x)) + f,
    "dropout": lambda u, x, f: x + f,  # in a test
}


@pytest.mark.parametrize("kind", SHORTCUTS)
def test_a_shortcut_adds_what_the_paper_says(kind: str) -> None:
    u, x = unit(shortcut=kind), images()
    torch.testing.assert_close(u(x), F.relu(SHORTCUTS[kind](u, x, branch(u, x))))


def test_a_new_shortcut_is_one_class() -> None:
    class Doubled(Identity, name="doubled"):
        """2 x + F."""

        def add(self, own: Any, x: Tensor, branch: Tensor) -> Tensor:
            return 2 * own.identity(x) + branch

    try:
        u, x = unit(shortcut="doubled"), images()
        torch.testing.assert_close(u(x), F.relu(2 * x + branch(u, x)))
        with pytest.raises(UserError, match="did you mean 'doubled'"):
            create_model("cifar_resnet20", shortcut="dubled")
    finally:
        del SHORTCUT_KINDS["doubled"]


ORDERS = {
    "bn_after_addition": lambda u, x: F.relu(u.bn2(x + u.conv2(F.relu(u.bn1(u.conv1(x)))))),
    "relu_before_addition": lambda u, x: x + F.relu(branch(u, x)),
    "relu_only_preactivation": lambda u, x: x + branch(u, F.relu(x)),
    "full_preactivation": lambda u, x: x + u.conv2(F.relu(u.bn2(u.conv1(F.relu(u.bn1(x)))))),
}


@pytest.mark.parametrize("order", ORDERS)
def test_an_order_activates_where_figure_4_says(order: str) -> None:
    u, x = unit(order=order), images()
    torch.testing.assert_close(u(x), ORDERS[order](u, x))


def full(u: nn.Module, activated: Tensor) -> Tensor:
    """The branch of Figure 4(e) from its activated signal on."""
    return u.conv2(F.relu(u.bn2(u.conv1(activated))))


def padded(x: Tensor) -> Tensor:
    """Option A where a stage begins: every second pixel, and as many zero channels."""
    return torch.cat([x[:, :, ::2, ::2], torch.zeros(2, 4, 4, 4)], 1)


# What the first unit of a stage computes from x, raw, and a, batch norm and ReLU of it.
FIRST_OF_A_STAGE = {
    ("first_and_projections", "A"): lambda u, x, a: padded(x) + full(u, a),
    ("first_and_projections", "B"): lambda u, x, a: u.downsample[0](a) + full(u, a),
    ("first_and_projections", "dropout"): lambda u, x, a: padded(x) + full(u, a),
    ("first_and_changes", "A"): lambda u, x, a: padded(a) + full(u, a),
    ("first_and_changes", "dropout"): lambda u, x, a: padded(a) + full(u, a),
    ("projections", "A"): lambda u, x, a: padded(x) + full(u, a),
    ("projections", "B"): lambda u, x, a: u.downsample[0](a) + full(u, a),
}


@pytest.mark.parametrize(("shared", "shortcut"), FIRST_OF_A_STAGE)
def test_the_shortcut_that_begins_a_stage_reads_the_signal_that_its_source_says(
    shared: str, shortcut: str
) -> None:
    u = unit("layer2.0", order="full_preactivation", shared_preactivation=shared, shortcut=shortcut)
    x = images() - 0.5
    expected = FIRST_OF_A_STAGE[shared, shortcut](u, x, F.relu(u.bn1(x)))
    torch.testing.assert_close(u(x), expected)


@pytest.mark.parametrize("shared", SHARED_PREACTIVATION)
def test_within_a_stage_an_identity_carries_the_raw_signal_in_every_source(shared: str) -> None:
    u, x = unit(order="full_preactivation", shared_preactivation=shared), images() - 0.5
    torch.testing.assert_close(u(x), x + full(u, F.relu(u.bn1(x))))


def test_relu_only_units_share_their_activation_where_the_source_says() -> None:
    x = images() - 0.5
    for shared, read in (("first_and_projections", x), ("first_and_changes", F.relu(x))):
        u = unit("layer2.0", order="relu_only_preactivation", shared_preactivation=shared)
        torch.testing.assert_close(u(x), padded(read) + branch(u, F.relu(x)))


def test_the_first_unit_is_activated_by_the_stem_or_for_its_branch_alone() -> None:
    """One formula each: he2016's appendix and resnet-1k-layers, and kuangliu's preact_resnet.py."""
    x = torch.randn(2, 3, 8, 8)
    places = {"order": "full_preactivation", "depth": 8, "width": 4}
    papers, other = (
        uneven(create_model("cifar_resnet20", shared_preactivation=shared, **places))
        for shared in ("auto", "projections")
    )
    assert isinstance(papers.layer1[0].bn1, nn.Identity)  # the stem's serve the first unit
    assert isinstance(other.bn1, nn.Identity)
    activated = F.relu(papers.bn1(papers.conv1(x)))
    begun = activated + full(papers.layer1[0], activated)
    torch.testing.assert_close(papers.layer1(papers.relu(papers.bn1(papers.conv1(x)))), begun)
    raw = other.conv1(x)
    begun_raw = raw + full(other.layer1[0], F.relu(other.layer1[0].bn1(raw)))
    for net, signal in ((papers, begun), (other, begun_raw)):
        last = F.relu(net.bn_last(net.layer3(net.layer2(signal))))
        torch.testing.assert_close(net(x), net.fc(last.mean((2, 3))))


def test_the_net_of_resnet_1k_layers_is_ours_from_the_first_unit_to_the_last() -> None:
    """resnet-pre-act.lua, written out: batch norm and ReLU before both paths where widths change, else in one."""
    net = uneven(create_model("cifar_preact_resnet164", depth=20, width=4))
    x = torch.randn(2, 3, 8, 8)
    signal = net.conv1(x)
    for stage in (net.layer1, net.layer2, net.layer3):
        for u in stage:
            first = u is net.layer1[0]
            activated = F.relu((net.bn1 if first else u.bn1)(signal))
            changes = u.conv1.in_channels != u.conv3.out_channels
            shortcut = u.downsample[0](activated) if changes else signal
            f = u.conv3(F.relu(u.bn3(u.conv2(F.relu(u.bn2(u.conv1(activated)))))))
            signal = shortcut + f
    torch.testing.assert_close(net(x), net.fc(F.relu(net.bn_last(signal)).mean((2, 3))))


@pytest.mark.parametrize(("place", "channels"), [("append", slice(0, 4)), ("split", slice(2, 6))])
def test_zero_channels_are_appended_or_split_around_every_second_pixel(place: str, channels: slice) -> None:
    u, x = unit("layer2.0", zero_channels=place), images()
    padded = torch.zeros(2, 8, 4, 4)
    padded[:, channels] = x[:, :, ::2, ::2]
    torch.testing.assert_close(u(x), F.relu(padded + branch(u, x)))


def test_shortcut_dropout_works_in_training_alone() -> None:
    u, x = unit(shortcut="dropout", shortcut_dropout=0.5, order="relu_before_addition"), images()
    u.downsample.train()
    added = u(x) - F.relu(branch(u, x))
    dropped = added.abs() < 1e-6
    assert 0.3 < dropped.float().mean() < 0.7
    torch.testing.assert_close(added[~dropped], 2 * x[~dropped], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("fan", ["fan_in", "fan_out"])
def test_weights_start_with_variance_two_over_the_fan(fan: str) -> None:
    torch.manual_seed(0)
    conv = create_model("cifar_resnet20", width=64, init_fan=fan).layer2[0].conv1  # 64 to 128 channels
    values = 9 * (64 if fan == "fan_in" else 128)
    assert float(conv.weight.detach().std()) == pytest.approx((2 / values) ** 0.5, rel=0.02)


def test_the_last_gamma_is_one_in_paper_models_and_zero_when_asked() -> None:
    for asked in (False, True):
        net = create_model("resnet50", width=8, zero_init_gamma=asked)
        assert bool((net.layer1[0].bn3.weight == 0).all()) == asked
        assert bool((net.layer1[0].bn2.weight == 1).all())


@pytest.mark.parametrize(("stride_on", "strided"), [("1x1", "conv1"), ("3x3", "conv2")])
def test_a_bottleneck_strides_where_it_is_told(stride_on: str, strided: str) -> None:
    first = create_model("resnet50", width=8, stride_on=stride_on).layer2[0]
    assert [name for name in ("conv1", "conv2", "conv3") if getattr(first, name).stride == (2, 2)] == [
        strided
    ]


def test_gates_start_at_the_bias_they_are_given() -> None:
    assert torch.equal(
        unit(shortcut="shortcut_only_gating", gate_bias=-4.0).downsample.gate.bias, torch.full((4,), -4.0)
    )


def test_resnet_d_averages_what_a_stride_would_skip_and_has_three_3x3_in_its_stem() -> None:
    net = create_model("resnet50_d", width=8)
    assert [layer.kernel_size for layer in net.conv1 if isinstance(layer, nn.Conv2d)] == [(3, 3)] * 3
    pool, projection, _ = net.layer2[0].downsample
    assert isinstance(pool, nn.AvgPool2d)
    assert projection.stride == (1, 1)


def test_squeeze_and_excitation_rescales_the_branch_before_the_addition() -> None:
    u, x = unit(block="se_basic"), images()
    f = branch(u, x)
    fc1, fc2 = u.attention.fc1, u.attention.fc2
    scale = torch.sigmoid(fc2(F.relu(fc1(f.mean((2, 3))))))[:, :, None, None]
    torch.testing.assert_close(u(x), F.relu(x + scale * f))


def test_drop_path_leaves_out_whole_images_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    drop, x = DropPath(0.25), torch.ones(4000, 2, 1, 1)
    kept = drop(x)
    assert kept.unique().tolist() == pytest.approx([0, 4 / 3])
    assert torch.equal(kept[:, 0], kept[:, 1])
    assert float(kept.mean()) == pytest.approx(1, abs=0.05)
    assert torch.equal(drop.eval()(x), x)


def test_drop_path_grows_linearly_with_depth() -> None:
    net = create_model("cifar_resnet20", drop_path=0.9)
    rates = [module.rate for module in net.modules() if isinstance(module, DropPath)]
    assert rates == pytest.approx([0.1 * place for place in range(1, 10)])
