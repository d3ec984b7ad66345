"""Weights from files: every way they are wrapped, and every way they can fail to fit."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import save_file
from torch import nn

from nets import prefixed, uneven, zeros
from resnet_lab.errors import UserError
from resnet_lab.models import ModelConfig, create_model
from resnet_lab.models.weights import read
from resnet_lab.runs import weights_file

NAME = "cifar_resnet20"


def trained(**choices: Any) -> nn.Module:
    """A small net whose batch norms are as uneven as training leaves them."""
    return uneven(create_model(NAME, width=4, **choices))


def loaded(file: Path, **choices: Any) -> nn.Module:
    """The same net from a file; what the file cannot tell is said."""
    return create_model(NAME, width=4, weights=str(file), **{"zero_channels": "append", **choices})


def assert_same(net: nn.Module, other: nn.Module) -> None:
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(net.eval()(images), other(images), rtol=0, atol=0)


WRAPPED = {
    "bare": lambda state: state,
    "DataParallel": lambda state: prefixed(state, "module."),
    "compiled": lambda state: prefixed(state, "_orig_mod."),
    "compiled inside DDP": lambda state: prefixed(state, "module._orig_mod."),
    "Lightning": lambda s: {"state_dict": prefixed(s, "backbone."), "epoch": 3, "optimizer_states": []},
    "Lightning, compiled": lambda state: {"state_dict": prefixed(state, "net._orig_mod.")},
    "Lightning of a DDP model": lambda state: {"state_dict": prefixed(state, "model.module.")},
    "stages compiled one by one": lambda state: {
        name.replace("layer1.", "layer1._orig_mod."): value for name, value in state.items()
    },
    "torchvision's training script": lambda state: {
        "model": zeros(state),
        "model_ema": {"n_averaged": torch.tensor(9), **prefixed(state, "module.")},
    },
    "timm's averaged weights": lambda state: {"state_dict": zeros(state), "state_dict_ema": state},
    "before PyTorch 0.4.1": lambda state: {
        name: value for name, value in state.items() if not name.endswith("num_batches_tracked")
    },
    "half precision": lambda state: {name: value.half() for name, value in state.items()},
}


@pytest.mark.parametrize("wrapping", WRAPPED)
def test_weights_load_however_they_were_wrapped(wrapping: str, tmp_path: Path) -> None:
    net = trained()
    if wrapping == "half precision":
        net.half().float()
    file = tmp_path / "net.pth"
    torch.save(WRAPPED[wrapping](net.state_dict()), file)
    assert_same(loaded(file), net)


def test_safetensors_load_under_any_name(tmp_path: Path) -> None:
    net = trained()
    for name in ("net.safetensors", "pytorch_model.bin"):
        save_file(prefixed(net.state_dict(), "module."), tmp_path / name)
        assert_same(loaded(tmp_path / name), net)


@pytest.fixture
def run(tmp_path: Path) -> tuple[Path, dict[str, nn.Module]]:
    """A run folder: two checkpoints, and the tested weights, whose statistics were computed again."""
    nets = {name: trained(shortcut="dropout") for name in ("first", "last", "tested")}
    asked = ModelConfig(width=4, shortcut="dropout", zero_channels="split", in_channels=3, num_classes=10)
    net = asked.resolved()
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"model": asdict(net)}))
    for iteration, name in ((64, "first"), (128, "last")):
        file = tmp_path / "checkpoints" / f"{iteration:08d}.ckpt"
        chosen = json.dumps({f"model.{key}": value for key, value in asdict(net).items()})
        state = prefixed(nets[name].state_dict(), "backbone.")
        torch.save({"state_dict": state, "run": {"chosen": chosen}}, file)
    weights_file.write(tmp_path / "weights.safetensors", nets["tested"], net, None)
    return tmp_path, nets


def same_weights(path: Path, net: nn.Module) -> bool:
    found, expected = read(path), net.state_dict()
    return found.keys() == expected.keys() and all(torch.equal(found[key], expected[key]) for key in expected)


def test_a_finished_run_gives_its_tested_weights_and_another_its_last_sound_checkpoint(
    run: tuple[Path, dict[str, nn.Module]],
) -> None:
    folder, nets = run
    for record, expected in ((None, "last"), ("failed", "last"), ("finished", "tested"), (None, "last")):
        (folder / "record.json").write_text(json.dumps({"state": record}))
        assert same_weights(folder, nets[expected])
    last = folder / "checkpoints" / f"{128:08d}.ckpt"
    last.write_bytes(last.read_bytes()[:1000])
    assert same_weights(folder, nets["first"])


def test_what_a_run_wrote_says_itself_which_net_it_is_of(
    run: tuple[Path, dict[str, nn.Module]], tmp_path: Path
) -> None:
    folder, _ = run
    copied = tmp_path / "elsewhere" / "exported.safetensors"
    copied.parent.mkdir()
    copied.write_bytes((folder / "weights.safetensors").read_bytes())
    said = {"width": 4, "shortcut": "dropout", "zero_channels": "split"}
    for path in (folder, folder / "weights.safetensors", next(folder.glob("checkpoints/*")), copied):
        create_model(NAME, weights=str(path), **said)
        for other, told in (
            ({"zero_channels": "append"}, "another net: model.zero_channels=split"),
            ({"shortcut": "A"}, "another net: model.shortcut=dropout"),
            ({"order": "relu_before_addition"}, "model.order=original"),
        ):
            with pytest.raises(UserError, match=told) as error:
                create_model(NAME, weights=str(path), **{**said, **other})
            assert "\n" not in str(error.value)


def test_a_strangers_file_in_a_run_folder_is_not_described_by_the_run(
    run: tuple[Path, dict[str, nn.Module]],
) -> None:
    folder, nets = run
    for name in ("stranger.pth", "checkpoints/00000999.ckpt", "stranger.safetensors"):
        state = nets["first"].state_dict()
        (save_file if name.endswith("safetensors") else torch.save)(state, folder / name)
        with pytest.raises(UserError, match=r"does not say which net .* model.zero_channels=append"):
            create_model(NAME, width=4, shortcut="dropout", weights=str(folder / name))


def test_a_backbone_alone_asks_for_a_fresh_head(tmp_path: Path) -> None:
    file = tmp_path / "backbone.pth"
    torch.save({name: v for name, v in trained().state_dict().items() if not name.startswith("fc.")}, file)
    with pytest.raises(UserError, match=r"holds no classifier .* model.head=reset"):
        loaded(file)
    loaded(file, head="reset")


def test_another_class_count_is_told_and_a_head_is_reset_on_request(tmp_path: Path) -> None:
    net, file = trained(), tmp_path / "net.pth"
    torch.save(net.state_dict(), file)
    with pytest.raises(UserError, match=r"10 classes and the net 7: head=reset"):
        loaded(file, num_classes=7)
    for classes in (7, 10):
        other = loaded(file, num_classes=classes, head="reset")
        assert other.fc.weight.shape == (classes, 16)
        assert torch.equal(other.layer3[2].conv2.weight, net.layer3[2].conv2.weight)
    assert not torch.equal(other.fc.weight, net.fc.weight)


def test_entries_that_do_not_fit_are_listed(tmp_path: Path) -> None:
    state = trained().state_dict()
    for name in ("conv1.weight", "layer1.0.bn1.weight", "layer1.0.bn1.bias", "layer1.1.bn1.bias"):
        del state[name]
    state["attention.weight"] = torch.zeros(1)
    state["layer2.0.conv1.weight"] = torch.zeros(8, 4, 1, 1)
    file = tmp_path / "net.pth"
    torch.save(state, file)
    with pytest.raises(UserError) as error:
        loaded(file)
    message = str(error.value)
    assert "\n" not in message
    assert "4 missing (conv1.weight, layer1.0.bn1.weight, layer1.0.bn1.bias, …)" in message
    assert "1 unexpected (attention.weight)" in message
    assert "1 of another shape (layer2.0.conv1.weight (8, 4, 1, 1) for (8, 4, 3, 3))" in message


class Harmful:
    """Would run code when a plain unpickler reads it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("harm-was-done"),)


def test_a_file_that_cannot_be_used_is_one_line_and_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    state = trained().state_dict()
    torch.save(state, "whole.pth")
    whole = Path("whole.pth").read_bytes()
    files: dict[str, tuple[Any, str]] = {  # bytes or what is saved, and what its error must say
        "truncated.pth": (whole[: len(whole) // 2], "damaged"),
        "empty.pth": (b"", "damaged"),
        "text.pth": (b"no weights at all", "damaged"),
        "page.pth": (b"\n<!DOCTYPE html><html>Sign in</html>", "a page of the web"),
        "pointer.safetensors": (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            "`git lfs pull`",
        ),
        "keras.h5": (b"\x89HDF\r\n\x1a\n", "HDF5, as Keras writes"),
        "model.safetensors.index.json": (b'{"weight_map": {}}', "text in JSON"),
        "truncated.safetensors": (b"\x08\x00\x00\x00\x00\x00\x00\x00{", "damaged"),
        "object.pth": ({"state_dict": Harmful()}, "run code"),
        "list.pth": ([1, 2], "no state dict"),
        "several.pth": ({"one": state, "two": state}, "several state dicts: one, two"),
        "numbers.pth": ({"loss": 0.5}, "no state dict: 'loss' is float"),
        "two.pth": ({**prefixed(state, "net."), **state}, "more than one prefix"),
    }
    for name, (content, expected) in files.items():
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path)
        with pytest.raises(UserError, match=expected) as error:
            read(path)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="not a run folder"):
        read(tmp_path / "folder")
    assert not Path("harm-was-done").exists()


def test_a_path_that_is_not_there_names_the_published_weights() -> None:
    with pytest.raises(
        UserError, match=r"'nowhere.pth'.* resnet50 has imagenet, IMAGENET1K_V1, IMAGENET1K_V2"
    ):
        create_model("resnet50", weights="nowhere.pth")
