"""The conclusion follows the numbers, whatever they are."""

from pathlib import Path

import pytest

from resnet_lab.report import Group, beside_the_paper, collect, conclude, summarise
from run_folders import configured, finished, group, interrupted, run_of

LOW, MID, HIGH = (1.0, 1.1, 1.2), (1.05, 1.1, 1.15), (5.0, 5.5, 6.0)

DEGRADES = "depth alone degrades the net"


@pytest.mark.parametrize(
    ("plain", "residual", "meaning"),
    [
        ((LOW, HIGH), (HIGH, LOW), f"{DEGRADES}, and shortcuts turn it into a gain"),
        ((LOW, HIGH), (LOW, MID), f"{DEGRADES}, and shortcuts prevent that"),
        ((LOW, HIGH), (LOW, HIGH), "depth degrades the net with and without shortcuts"),
        ((HIGH, LOW), (HIGH, LOW), "the plain net gains and the residual net gains, so no degradation shows"),
        (
            (LOW, MID),
            (LOW, HIGH),
            "neither gains nor loses beyond the seeds' spread and the residual net loses",
        ),
        ((LOW, HIGH), None, f"{DEGRADES} (n = 3)"),
        (None, (HIGH, LOW), "with depth the residual net gains (n = 3)"),
        (None, (LOW, HIGH), "with depth the residual net loses (n = 3)"),
    ],
)
def test_depth(
    plain: tuple[tuple[float, ...], ...] | None, residual: tuple[tuple[float, ...], ...] | None, meaning: str
) -> None:
    nets = {"none": plain, "A": residual}
    groups = [
        group(depth, shortcut, *errors)
        for shortcut, pair in nets.items()
        for depth, errors in zip((20, 56), pair or (), strict=False)
    ]
    assert meaning in conclude(groups)


def test_depth_states_the_measured_numbers() -> None:
    groups = [group(20, "none", 1.3, 1.5), group(56, "none", 64.0, 82.0)]
    groups += [group(20, "A", 0.8, 1.0), group(56, "A", 0.7, 1.0)]
    assert conclude(groups) == (
        "Test error: plain nets go from 1.40 ± 0.14 % at 20 layers to 73.00 ± 12.73 % at 56 "
        "(+71.60, beyond two standard errors); residual nets go from 0.90 ± 0.14 % at 20 layers to "
        "0.85 ± 0.21 % at 56 (-0.05, within two standard errors): depth alone degrades the net, and "
        "shortcuts prevent that (n = 2; so few that the spread itself is a guess)."
    )


def test_wide_spread_proves_nothing() -> None:
    groups = [group(20, "none", 1.3, 1.5), group(56, "none", 1.0, 9.0)]
    assert "the plain net neither gains nor loses beyond the seeds' spread" in conclude(groups)


def test_one_seed_cannot_tell() -> None:
    groups = [group(20, "none", 1.4), group(56, "none", 82.0), group(20, "A", 0.8), group(56, "A", 0.7)]
    assert "one seed a net cannot tell an effect from chance (n = 1)" in conclude(groups)


def test_plain_net_that_diverges_degrades() -> None:
    groups = [group(20, "none", 1.4, 1.5), group(56, "none", diverged=2)]
    said = conclude(groups)
    assert "to no error at 56 (the loss diverges): depth alone degrades the net" in said


def test_depths_are_compared_where_both_kinds_have_them() -> None:
    groups = [group(depth, "none", 1.0 + depth / 10, 1.1 + depth / 10) for depth in (20, 56)]
    groups += [group(depth, "A", 9.0 - depth / 100, 9.1 - depth / 100) for depth in (20, 56, 110)]
    assert "residual nets go from 8.85 ± 0.07 % at 20 layers to 8.49 ± 0.07 % at 56" in conclude(groups)


def test_each_of_several_kinds_is_told() -> None:
    bare = {"model.batch_norm": False}
    groups = [
        group(20, "A", *LOW),
        group(56, "A", *MID),
        group(20, "A", *LOW, **bare),
        group(56, "A", *HIGH, **bare),
    ]
    said = conclude(groups)
    assert "residual (basic, A) nets go from 1.10 ± 0.10 % at 20 layers to 1.10 ± 0.05 % at 56" in said
    assert (
        "residual (basic, A, batch_norm=false) nets go from 1.10 ± 0.10 % at 20 layers to 5.50 ± 0.50 %"
        in said
    )


def test_nothing_finished_is_said(tmp_path: Path) -> None:
    interrupted(configured(tmp_path))
    assert (
        conclude(summarise(collect(tmp_path))) == "No run has finished, so there is nothing to conclude yet."
    )
    assert conclude([]).startswith("No run has finished")


def test_half_a_sweep_concludes_what_it_can() -> None:
    waiting = Group((run_of(configured(Path("runs"), 56, "none"), {"state": "running"}),))
    groups = [group(20, "none", *LOW), waiting, group(20, "A", *LOW), group(56, "A", *HIGH)]
    assert "plain" not in conclude(groups)
    assert "the residual net loses" in conclude(groups)


def test_bottleneck_against_basic_states_the_costs() -> None:
    basic = group(56, "B", *HIGH)
    bottleneck = group(56, "B", *LOW, **{"model.block": "bottleneck"})
    said = conclude([basic, bottleneck])
    assert said.startswith("The lowest test error is 1.10 ± 0.10 %, of residual (bottleneck, B), 56 layers; ")
    assert "residual (basic, B), 56 layers has 5.50 ± 0.50 % (+4.40, beyond two standard errors, 1.46" in said
    assert "times the parameters, 1.53 times the multiply-adds, 1.00 times the train seconds) (n = 3)" in said


def test_choices_within_the_spread_are_called_so() -> None:
    groups = [group(56, "A", *LOW), group(56, "constant_scaling", *MID), group(56, "exclusive_gating", *HIGH)]
    said = conclude(groups)
    assert "+0.00, within two standard errors" in said
    assert "+4.40, beyond two standard errors" in said


def test_sweep_in_which_all_diverge() -> None:
    assert (
        conclude([group(56, "A", diverged=2), group(56, "B", diverged=2)])
        == "No run came through: all diverged."
    )


def test_range_of_learning_rates_that_train() -> None:
    groups = []
    for rate, with_norm, without in (
        (0.01, 2.0, 3.0),
        (0.1, 1.0, 50.0),
        (1.0, 3.0, None),
        (10.0, 30.0, None),
    ):
        groups.append(group(20, "A", with_norm, **{"recipe.lr": rate}))
        none = {"recipe.lr": rate, "model.batch_norm": False}
        groups.append(
            group(20, "A", diverged=1, **none) if without is None else group(20, "A", without, **none)
        )
    assert conclude(groups) == (
        "Learning rates that train to a test error of at most 20 %, "
        "batch norm on: 3 of 4 (0.01 to 1, 100 times); batch norm off: 1 of 4 (0.01 to 0.01, 1.0 times)."
    )


def test_no_learning_rate_trains() -> None:
    groups = [group(20, "A", diverged=1, **{"recipe.lr": rate}) for rate in (1.0, 3.0, 10.0)]
    assert "0 of 3" in conclude(groups)


def test_gradients_far_apart_are_told(tmp_path: Path) -> None:
    folder = finished(configured(tmp_path, 56, "none"), 40.0)
    rows = [
        f"{epoch},{layer},conv{layer},{10.0 ** (layer - 3 + epoch)}" for epoch in (0, 1) for layer in range(3)
    ]
    (folder.path / "gradient_norms.csv").write_text("\n".join(["epoch,layer_index,layer,value", *rows, ""]))
    said = conclude(summarise(collect(tmp_path)))
    assert "at the first measured epoch: plain, 56 layers: 100 times" in said


def test_meeting_the_paper_is_counted() -> None:
    paper = {"data.name": "cifar10", "recipe.iterations": 64000, "recipe.epochs": None}
    groups = [group(20, "A", 8.7, 8.8, **paper)]
    said = conclude(groups, beside_the_paper(groups, "he2015/table6"))
    assert said.startswith("Beside 6 figures of the paper: 5 not run, 1 not comparable.")
