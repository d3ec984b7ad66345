"""Parameters and multiply-adds of every row of reference/exact_counts.csv, to the unit, from the built nets."""

import re
from typing import Any

import pytest
import torch
from torch import nn

from counts import counted
from resnet_lab.models import create_model, list_models
from resnet_lab.models.counting import count
from resnet_lab.models.named import entry, recorded
from resnet_lab.reference import exact_counts

ROWS = exact_counts()

ORDERS = {
    "original": "original",
    "BN after addition": "bn_after_addition",
    "ReLU before addition": "relu_before_addition",
    "ReLU-only pre-activation": "relu_only_preactivation",
    "full pre-activation": "full_preactivation",
    "pre-act,": "full_preactivation",
}
SHORTCUTS = {
    "exclusive gating": "exclusive_gating",
    "shortcut-only gating": "shortcut_only_gating",
    "1x1 conv shortcut": "conv",
}


def choices(name: str) -> dict[str, Any]:
    """What a row's name says of its net, in this project's words."""
    chosen: dict[str, Any] = {}
    if name.startswith("plain"):
        chosen["shortcut"] = "none"
    if letter := re.search(r"\(([ABC])\)", name):
        chosen["shortcut"] = letter[1]
    if stride := re.search(r"stride on (\dx\d)", name):
        chosen["stride_on"] = stride[1]
    if "1-layer-skip" in name:
        chosen["block"] = "single"
    for key, kinds in (("order", ORDERS), ("shortcut", SHORTCUTS)):
        for words, kind in kinds.items():
            if words in name:
                chosen[key] = kind
    return chosen


def net_of(row: dict[str, Any]) -> nn.Module:
    if row["name"].startswith("VGG"):
        import torchvision

        return getattr(torchvision.models, row["name"].lower().replace("-", ""))()
    chosen = {"depth": int(row["depth"]), **choices(row["name"])}
    if not row["input"].startswith("32x"):
        return create_model("resnet18", **chosen)
    if row["depth"] in (164, 1001):
        chosen["block"] = "bottleneck"
    return create_model("cifar_resnet20", num_classes=100 if "CIFAR-100" in row["name"] else 10, **chosen)


def test_the_file_of_counts_has_those_of_the_built_nets() -> None:
    assert list(recorded()) == list_models()
    for name, counts in recorded().items():
        if entry(name).config.depth < 1000:  # the others take seconds, and their units are among the rest
            assert counted(name) == counts


def test_the_table_has_75_rows() -> None:
    assert len(ROWS) == len({row["name"] for row in ROWS}) == 75


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_a_net_counts_as_the_paper_does(row: dict[str, Any]) -> None:
    height, width, channels = map(int, row["input"].split("x"))
    with torch.device("meta"):
        net = net_of(row)
    counted = count(net, (channels, height, width))
    assert (counted.parameters, counted.multiply_adds) == (row["params_total"], row["macs"])
