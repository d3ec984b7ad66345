"""Files of other programs load as they are, or the line that refuses them says what they seem to be."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nets import State, prefixed, uneven, zeros
from resnet_lab.errors import UserError
from resnet_lab.models import create_model


class PaddedUnit(nn.Module):
    """As akamaster/pytorch_resnet_cifar10 names it, option A: a quarter of the zeros' width on each side."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = nn.Sequential()
        self.pads = stride > 1

    def forward(self, x: Tensor) -> Tensor:
        f = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.pads:
            side = x.shape[1] // 2
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, side, side))
        return F.relu(f + x)


class Akamaster(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.layer1 = nn.Sequential(PaddedUnit(4, 4, 1))
        self.layer2 = nn.Sequential(PaddedUnit(4, 8, 2))
        self.layer3 = nn.Sequential(PaddedUnit(8, 16, 2))
        self.linear = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.linear(x.mean((2, 3)))


SMALL = {"depth": 8, "width": 4}


@pytest.fixture
def akamaster(tmp_path: Path) -> tuple[Path, nn.Module]:
    """A file as that repository's trainer writes it, and its net."""
    torch.manual_seed(0)
    net = uneven(Akamaster())
    file = tmp_path / "resnet8.th"
    torch.save({"state_dict": nn.DataParallel(net).state_dict(), "best_prec1": 91.7}, file)
    return file, net


def test_a_file_that_cannot_say_where_its_zeros_are_asks_and_names_who_puts_them_where(
    akamaster: tuple[Path, nn.Module],
) -> None:
    file, net = akamaster
    x = torch.randn(4, 3, 16, 16)
    with pytest.raises(UserError) as error:
        create_model("cifar_resnet20", weights=str(file), **SMALL)
    told = str(error.value)
    assert "model.zero_channels=append (after x's channels: fb.resnet.torch)" in told
    assert "model.zero_channels=split (on both sides: akamaster/pytorch_resnet_cifar10)" in told
    assert "\n" not in told
    split, append = (
        create_model("cifar_resnet20", weights=file, zero_channels=zeros, **SMALL).eval()
        for zeros in ("split", "append")
    )
    torch.testing.assert_close(split(x), net(x))
    assert not torch.allclose(append(x), net(x))


@pytest.mark.parametrize(
    ("choices", "fields"),
    [
        ({"depth": 11, "block": "bottleneck"}, ["stride_on"]),
        ({"depth": 8, "order": "full_preactivation"}, ["zero_channels", "shared_preactivation"]),
        ({"depth": 8, "order": "full_preactivation", "shortcut": "B"}, []),
        ({"depth": 8, "order": "relu_only_preactivation", "shortcut": "B"}, ["shared_preactivation"]),
    ],
    ids=str,
)
def test_all_that_names_cannot_tell_is_asked_at_once(
    choices: dict[str, Any], fields: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "net.pth"
    choices["width"] = 4
    torch.save(create_model("cifar_resnet20", **choices).state_dict(), file)
    if not fields:
        create_model("cifar_resnet20", weights=str(file), **choices)
        return
    with pytest.raises(UserError) as error:
        create_model("cifar_resnet20", weights=str(file), **choices)
    assert re.findall(r"(?:give|and) model\.(\w+)=", str(error.value)) == fields
    offered = re.findall(r"model\.(\w+)=(\w+)", str(error.value))
    for field, value in offered:  # each of them can be
        others = {name: next(other for key, other in offered if key == name) for name in fields}
        create_model("cifar_resnet20", weights=str(file), **choices, **{**others, field: value})


def renamed(*patterns: tuple[str, str]) -> Callable[[State], State]:
    def rename(state: State) -> State:
        for pattern, theirs in patterns:
            state = {re.sub(pattern, theirs, name): value for name, value in state.items()}
        return state

    return rename


def as_convolutions(state: State) -> State:
    """timm's squeeze-and-excitation has 1x1 convolutions."""
    return {
        name.replace(".attention.", ".se."): value[:, :, None, None]
        if ".attention." in name and value.ndim == 2
        else value
        for name, value in state.items()
    }


KUANGLIU = renamed((r"^fc\.", "linear."), ("downsample", "shortcut"))
WEIAICUNZAI = renamed(
    (r"^conv1\.", "conv1.0."),
    (r"^bn1\.", "conv1.1."),
    ("downsample", "shortcut"),
    *((rf"(layer.*)\.conv{i + 1}\.", rf"\1.residual_function.{3 * i}.") for i in range(3)),
    *((rf"(layer.*)\.bn{i + 1}\.", rf"\1.residual_function.{3 * i + 1}.") for i in range(3)),
    *((rf"^layer{i}\.", f"conv{i + 1}_x.") for i in range(1, 5)),
)


def _pycls(stem: str, first: int) -> Callable[[State], State]:
    return renamed(
        (r"^fc\.", "head.fc."),
        (r"^conv1\.", f"{stem}.conv."),
        (r"^bn1\.", f"{stem}.bn."),
        (r"\.downsample\.0\.", ".proj."),
        (r"\.downsample\.1\.", ".bn."),
        *((rf"(layer.*)\.conv{i}\.", rf"\1.f.{letter}.") for i, letter in enumerate("abc", start=1)),
        *((rf"(layer.*)\.bn{i}\.", rf"\1.f.{letter}_bn.") for i, letter in enumerate("abc", start=1)),
        *((rf"^(layer\d)\.{i}\.", rf"\1.b{i + 1}.") for i in range(10)),
        *((rf"^layer{i + 1}\.", f"s{first + i}.") for i in range(4)),
    )


HUGGING_FACE = renamed(
    (r"^conv1\.", "resnet.embedder.embedder.convolution."),
    (r"^bn1\.", "resnet.embedder.embedder.normalization."),
    (r"^fc\.", "classifier.1."),
    (r"\.downsample\.0\.", ".shortcut.convolution."),
    (r"\.downsample\.1\.", ".shortcut.normalization."),
    *((rf"(layer.*)\.conv{i + 1}\.", rf"\1.layer.{i}.convolution.") for i in range(3)),
    *((rf"(layer.*)\.bn{i + 1}\.", rf"\1.layer.{i}.normalization.") for i in range(3)),
    *((rf"^layer{i + 1}\.", f"resnet.encoder.stages.{i}.layers.") for i in range(4)),
)


def beside(prefix: str, head: str) -> Callable[[State], State]:
    """A backbone under a prefix, and its classifier elsewhere."""
    return lambda state: {
        (name.replace("fc.", head) if name.startswith("fc.") else prefix + name): value
        for name, value in state.items()
    }


LOSS = {
    "criterion.weight": torch.ones(10),
    "test_acc.correct": torch.zeros(()),
    "criterion.fc.weight": torch.ones(2, 2),
}


Saved = Callable[[State], Any]
B = {"shortcut": "B"}


def lightning(prefix: str, *, also: State = LOSS) -> Saved:
    return lambda state: {"state_dict": {**prefixed(state, prefix), **also}, "epoch": 3, "callbacks": {}}


def mmpretrain(state: State) -> Any:
    return {"state_dict": beside("backbone.", "head.fc.")(state), "meta": {}}


# What a program saves, made from our net's weights, and which of our nets it is.
PROGRAMS: dict[str, tuple[str, dict[str, Any], Saved]] = {
    "kuangliu, the seed article": (
        *("resnet18_cifar_stem", {}),
        lambda state: {"net": prefixed(KUANGLIU(state), "module."), "acc": 95.1, "epoch": 199},
    ),
    "akamaster, option B": ("cifar_resnet20", B, lambda state: {"state_dict": KUANGLIU(state)}),
    "weiaicunzai": ("resnet18_cifar_stem", {"num_classes": 100}, WEIAICUNZAI),
    "weiaicunzai, bottlenecks": ("resnet50_cifar_stem", {}, WEIAICUNZAI),
    "timm, squeeze and excitation": ("se_resnet50", {}, as_convolutions),
    "timm, deep stem": ("resnet50_d", {}, lambda state: state),
    "Lightning, beside a loss and metrics": ("resnet18", {}, lightning("model.")),
    "Lightning, compiled net of its own name": ("resnet18", {}, lightning("my_encoder._orig_mod.")),
    "Lightning, encoder and classifier": (
        "resnet18",
        {},
        lambda s: lightning("")(beside("encoder.", "fc.")(s)),
    ),
    "an average of a LightningModule's net": (
        *("resnet18", {}),
        lambda s: lightning("ema_net.", also=prefixed(zeros(s), "net."))(s),
    ),
    "pycls": ("cifar_resnet20", B, lambda s: {"model_state": _pycls("stem", 1)(s), "epoch": 9}),
    "pycls, bare, of 2019": ("cifar_resnet20", B, _pycls("s1", 2)),
    "pycls, bottlenecks": ("resnet50_cifar_stem", {}, _pycls("stem", 1)),
    "Hugging Face": ("resnet50", {}, HUGGING_FACE),
    "Hugging Face in a LightningModule": (
        "resnet18",
        {},
        lambda s: lightning("model.", also={})(HUGGING_FACE(s)),
    ),
    "MMPretrain": ("resnet18", {}, mmpretrain),
    "MMPretrain, deep stem": (
        *("resnet50_d", {}),
        lambda s: mmpretrain(renamed((r"^conv1\.", "stem."), (r"^bn1\.", "stem.7."))(s)),
    ),
    **{
        f"{key.replace('_ema', '')} of a trainer of one's own": (
            *("resnet18", {}),
            lambda s, key=key: {key: s, "optimizer": {"state": {}}, "loss": 0.1},
        )
        for key in ("model_state_dict", "network", "params_ema", "student", "weights")
    },
    **{
        f"{key} beside model": (
            *("resnet18", {}),
            lambda state, key=key: {"model": zeros(state), key: prefixed(state, "module."), "step": 1},
        )
        for key in ("ema", "ema_state_dict", "state_dict_ema", "model_ema")
    },
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_file_of_another_program_loads_as_it_is(
    program: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    name, choices, saved = PROGRAMS[program]
    net = uneven(create_model(name, width=4, **choices))
    file = tmp_path / "net.pth"
    torch.save(saved(net.state_dict()), file)
    found = create_model(name, width=4, weights=str(file), **choices)
    for key, value in net.state_dict().items():
        assert torch.equal(found.state_dict()[key], value), key
    told = capsys.readouterr().err
    assert ("averaged weights" in told) == ("ema" in program or "average" in program)
    assert told.count("\n") <= 1


PREACTIVATED = {"depth": 20}
WIDE = {"depth": 10, "width_factor": 2.0}
Case = tuple[str, dict[str, Any], str, dict[str, Any]]  # the net of the file, and the one asked for
WRONG: dict[str, Case] = {  # by what to type
    "model.shortcut=B": ("cifar_resnet20", B, "cifar_resnet20", {}),
    "model.depth=56 model.shortcut=B": ("cifar_resnet56", B, "cifar_resnet20", {}),
    "model.depth=50 model.block=bottleneck": ("resnet50", {}, "resnet34", {}),
    "model.stem=7x7": ("resnet18", {}, "resnet18_cifar_stem", {}),
    "model.family=imagenet model.depth=18": ("resnet18", {}, "cifar_resnet20", {}),
    "model.order=full_preactivation": ("cifar_preact_resnet110", PREACTIVATED, "cifar_resnet20", {}),
    "model.shared_preactivation=projections": (
        *("cifar_preact_resnet110", PREACTIVATED | {"shared_preactivation": "projections"}),
        *("cifar_preact_resnet110", PREACTIVATED),
    ),
    "model.width_factor=2 model.groups=32": ("resnext50_32x4d", {"width": 32}, "resnet50", {"width": 32}),
    "model.block=se_bottleneck": ("se_resnet50", {}, "resnet50", {}),
    "model.family=wide model.depth=10 model.shortcut=B model.width_factor=2 model.order=full_preactivation": (
        *("wrn28_10", WIDE),
        *("cifar_resnet20", {}),
    ),
}


@pytest.mark.parametrize("told", WRONG)
def test_a_file_of_another_net_is_refused_with_what_to_type(told: str, tmp_path: Path) -> None:
    theirs, their_choices, ours, choices = WRONG[told]
    file = tmp_path / "net.pth"
    torch.save(create_model(theirs, **{"width": 4, **their_choices}).state_dict(), file)
    with pytest.raises(UserError) as error:
        create_model(ours, weights=str(file), **{"width": 4, **choices})
    assert f"it seems to be of {told}" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "facts"),
    [
        (lambda s: {n: v for n, v in s.items() if "layer3.2." not in n}, "depth 18"),  # 6n+2 and no such n
        (lambda s: {**s, "conv1.weight": torch.zeros(4, 3, 1, 1)}, "stem 1x1"),
        (lambda s: {n: v for n, v in s.items() if "running" not in n}, "missing"),  # group norm
    ],
)
def test_a_net_that_no_description_makes_is_shown_by_its_facts(
    change: Callable[[State], State], facts: str, tmp_path: Path
) -> None:
    file = tmp_path / "net.pth"
    torch.save(change(create_model("cifar_resnet20", width=4).state_dict()), file)
    with pytest.raises(UserError, match=facts) as error:
        create_model("cifar_resnet20", width=4, weights=str(file))
    assert "model." not in str(error.value)  # nothing that cannot be typed, and no question about zeros


def test_nobody_is_asked_about_the_zeros_of_a_file_that_will_not_do(tmp_path: Path) -> None:
    file = tmp_path / "net.pth"
    torch.save({"features.0.weight": torch.zeros(8, 3, 3, 3)}, file)
    with pytest.raises(UserError, match=r"does not fit the net: .* 1 unexpected \(features.0.weight\)"):
        create_model("cifar_resnet20", weights=str(file))


def test_an_imagenet_stem_of_pycls_is_turned_from_bgr_to_rgb(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net, file = create_model("resnet18", width=4), tmp_path / "net.pyth"
    torch.save({"model_state": _pycls("stem", 1)(net.state_dict())}, file)
    found = create_model("resnet18", width=4, weights=str(file))
    assert torch.equal(found.conv1.weight, net.conv1.weight.flip(1))
    assert "BGR" in capsys.readouterr().err


def test_two_nets_of_which_none_is_an_average_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "net.pth"
    state = create_model("resnet18", width=4).state_dict()
    torch.save({"state_dict": {**prefixed(state, "student."), **prefixed(state, "teacher.")}}, file)
    with pytest.raises(UserError, match=r"several nets.* student.layer1 and teacher.layer1"):
        create_model("resnet18", width=4, weights=str(file))
