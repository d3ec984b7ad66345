"""The conclusion follows the numbers, whatever they are."""

from pathlib import Path

import pytest

from resnet_lab.report import Group, beside_the_paper, collect, conclude, summarise
from run_folders import configured, finished, group, interrupted, run_of

LOW, MID, HIGH = (1.0, 1.1, 1.2), (1.05, 1.1, 1.15), (5.0, 5.5, 6.0)
MORE, WIDE = (1.5, 1.6, 1.8), (0.5, 3.0, 5.5)

DEGRADES = "depth alone degrades the net"


@pytest.mark.parametrize(
    ("plain", "residual", "meaning"),
    [
        ((LOW, HIGH), (HIGH, LOW), f"{DEGRADES}, and shortcuts turn it into a gain"),
        ((LOW, HIGH), (LOW, MID), "depth degrades the net, and with shortcuts by less, if at all"),
        ((LOW, HIGH), (LOW, HIGH), "depth degrades the net with and without shortcuts"),
        ((LOW, HIGH), (LOW, MORE), "depth degrades the net, and with shortcuts by less"),
        (
            (LOW, HIGH),
            (LOW, WIDE),
            "depth degrades the net; with shortcuts no loss shows, but one as large is not ruled out",
        ),
        ((HIGH, LOW), (HIGH, LOW), "the plain net gains and the residual net gains, so no degradation shows"),
        (
            (LOW, MID),
            (LOW, HIGH),
            "the plain net shows neither gain nor loss and the residual net loses",
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
    groups = [group(20, "none", 1.3, 1.5, 1.4), group(56, "none", 64.0, 82.0, 70.0)]
    groups += [group(20, "A", 0.8, 1.0, 0.9), group(56, "A", 0.7, 1.0, 0.9)]
    assert conclude(groups) == (
        "Test error: plain nets go from 1.40 ± 0.10 % at 20 layers to 72.00 ± 9.17 % at 56, +70.60 (95 % interval "
        "+48.08 to +93.12, paired over 3 seeds); residual nets go from 0.90 ± 0.10 % at 20 layers to 0.87 ± 0.15 % "
        "at 56, -0.03 (95 % interval -0.18 to +0.11, paired over 3 seeds): depth degrades the net, and with "
        "shortcuts by less, if at all (n = 3)."
    )


def test_two_seeds_are_said_to_show_large_effects_only() -> None:
    said = conclude([group(20, "none", 1.3, 1.5), group(56, "none", 64.0, 82.0)])
    assert "+71.60 (95 % interval -41.49 to +184.69, paired over 2 seeds)" in said
    assert "the plain net shows neither gain nor loss" in said
    assert (
        "(n = 2: an interval of 2 seeds reaches up to 12.7 standard errors to either side, of 5 seeds 2.8, "
        in said
    )
    assert said.endswith("so only large effects show).")


def test_wide_spread_proves_nothing() -> None:
    groups = [group(20, "none", 1.3, 1.5, 1.4), group(56, "none", 1.0, 9.0, 2.0)]
    assert "the plain net shows neither gain nor loss" in conclude(groups)


def test_figures_without_spread_are_not_called_an_effect() -> None:
    groups = [group(20, "none", 1.0, 1.0), group(56, "none", 2.0, 2.0)]
    assert "+1.00 (no interval: no spread was seen): figures that no seed changes have no spread" in conclude(
        groups
    )


def test_net_that_diverges_at_both_depths_tells_nothing_of_depth() -> None:
    groups = [
        group(20, "none", diverged=2),
        group(56, "none", diverged=2),
        group(20, "A", *LOW),
        group(56, "A", *MID),
    ]
    assert "where the loss diverges at both depths they cannot be compared" in conclude(groups)


def test_settings_are_never_pooled_in_a_conclusion() -> None:
    """Of two that only rounding tells apart, the one with more seeds speaks."""
    groups = [group(20, "A", *LOW), group(56, "A", *HIGH), group(56, "A", 1.0, **{"trainer.threads": 2})]
    assert "to 5.50 ± 0.50 % at 56" in conclude(groups)


def test_one_seed_cannot_tell() -> None:
    groups = [group(20, "none", 1.4), group(56, "none", 82.0), group(20, "A", 0.8), group(56, "A", 0.7)]
    assert "one seed a net cannot tell an effect from chance (n = 1)" in conclude(groups)


def test_plain_net_that_diverges_degrades() -> None:
    groups = [group(20, "none", 1.4, 1.5), group(56, "none", diverged=2)]
    said = conclude(groups)
    assert "to no error at 56, the loss diverges: depth alone degrades the net" in said


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
    assert (
        "residual (basic, B), 56 layers has 5.50 ± 0.50 %, +4.40 (95 % interval +3.41 to +5.39, paired"
        in said
    )
    assert (
        ", 1.46 times the parameters, 1.53 times the multiply-adds, 1.00 times the train seconds (n = 3)"
        in said
    )


def test_choices_are_told_with_their_intervals() -> None:
    groups = [group(56, "A", *LOW), group(56, "constant_scaling", *MID), group(56, "exclusive_gating", *HIGH)]
    said = conclude(groups)
    assert "+0.00 (95 % interval -0.12 to +0.12, paired over 3 seeds)" in said
    assert "+4.40 (95 % interval +3.41 to +5.39, paired over 3 seeds)" in said


def test_sweep_in_which_all_diverge() -> None:
    assert (
        conclude([group(56, "A", diverged=2), group(56, "B", diverged=2)])
        == "No run came through: all diverged."
    )


def test_range_of_learning_rates_that_train() -> None:
    groups = []
    for rate, with_norm, without in (
        (0.01, 2.0, 3.0),
        (0.1, 1.0, 88.0),
        (1.0, 3.0, None),
        (10.0, 85.0, None),
    ):
        groups.append(group(20, "A", with_norm, **{"recipe.lr": rate}))
        none = {"recipe.lr": rate, "model.batch_norm": False}
        groups.append(
            group(20, "A", diverged=1, **none) if without is None else group(20, "A", without, **none)
        )
    assert conclude(groups) == (
        "Learning rates that train (at most 90 % of the error of guessing), "
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
