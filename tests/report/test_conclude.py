"""The conclusion follows the numbers, whatever they are."""

from pathlib import Path

import pytest

from resnet_lab.report import Group, beside_the_paper, collect, conclude, summarise
from resnet_lab.runs.record import Record, State
from run_folders import configured, finished, group, interrupted, run_of

LOW, MID, HIGH = (1.0, 1.1, 1.2), (1.05, 1.1, 1.15), (5.0, 5.5, 6.0)
MORE, WIDE = (1.5, 1.6, 1.8), (0.5, 3.0, 5.5)

DEGRADES = "Depth alone degrades the net"


@pytest.mark.parametrize(
    ("plain", "residual", "meaning"),
    [
        ((LOW, HIGH), (HIGH, LOW), f"{DEGRADES}, and shortcuts turn it into a gain: "),
        (
            (LOW, HIGH),
            (LOW, MID),
            "Depth degrades the net; with shortcuts by less, and whether at all cannot be told with n = 3: ",
        ),
        ((LOW, HIGH), (LOW, HIGH), "Depth degrades the net with and without shortcuts: "),
        ((LOW, HIGH), (LOW, MORE), "Depth degrades the net, and with shortcuts by less: "),
        (
            (LOW, HIGH),
            (LOW, WIDE),
            "Depth degrades the net; whether it does with shortcuts cannot be told with n = 3: ",
        ),
        ((HIGH, LOW), (HIGH, LOW), "Depth lowers the error of plain nets and lowers that of residual nets: "),
        (
            (LOW, MID),
            (LOW, HIGH),
            "Depth raises the error of residual nets; it cannot be told with n = 3 whether depth changes the "
            "error of plain nets: ",
        ),
        ((LOW, HIGH), None, f"{DEGRADES}: "),
        (None, (HIGH, LOW), "Depth lowers the error of residual nets: "),
        (None, (LOW, HIGH), "Depth raises the error of residual nets: "),
    ],
)
def test_the_finding_on_depth_comes_first(
    plain: tuple[tuple[float, ...], ...] | None, residual: tuple[tuple[float, ...], ...] | None, meaning: str
) -> None:
    nets = {"none": plain, "A": residual}
    groups = [
        group(depth, shortcut, *errors)
        for shortcut, pair in nets.items()
        for depth, errors in zip((20, 56), pair or (), strict=False)
    ]
    assert conclude(groups).startswith(meaning)


def test_depth_states_the_measured_numbers_and_then_the_best() -> None:
    groups = [group(20, "none", 1.3, 1.5, 1.4), group(56, "none", 64.0, 82.0, 70.0)]
    groups += [group(20, "A", 0.8, 1.0, 0.9), group(56, "A", 0.7, 1.0, 0.9)]
    assert conclude(groups) == (
        "Depth degrades the net; with shortcuts by less, and whether at all cannot be told with n = 3: plain nets go "
        "from 1.40 ± 0.10 % at 20 layers to 72.00 ± 9.17 % at 56, +70.60 (95 % interval +48.08 to +93.12); residual "
        "nets go from 0.90 ± 0.10 % at 20 layers to 0.87 ± 0.15 % at 56, -0.03 (95 % interval -0.18 to +0.11) "
        "(n = 3, paired over seeds). "
        "resnet-56 is best by test error, with 0.87 ± 0.15 %: 1 of 3 others cannot be told from it (resnet-20), and 2 "
        "are worse, the nearest, plain-20, by +0.53 (95 % interval +0.39 to +0.68) (n = 3, by Holm's correction for 3 "
        "comparisons)."
    )


@pytest.mark.parametrize(
    "groups",
    [
        [group(20, "none", 1.3, 1.5), group(56, "none", 64.0, 82.0)],
        [group(20, "none", 1.3, 1.5, 1.4), group(56, "none", 1.0, 9.0, 2.0)],
    ],
)
def test_a_wide_interval_is_never_called_no_effect(groups: list[Group]) -> None:
    cannot = f"It cannot be told with n = {groups[0].n} whether depth changes the error of plain nets"
    assert conclude(groups).startswith(cannot)


def test_two_seeds_tell_a_large_effect_by_the_variance_of_all_groups() -> None:
    """The committed figures of cifar10_jpeg: 38.34 to 71.87 % was called neither gain nor loss."""
    groups = [group(20, "none", 36.9, 39.8), group(56, "none", 70.4, 73.3)]
    groups += [group(20, "A", 32.7, 36.1), group(56, "A", 53.2, 57.0)]
    said = conclude(groups)
    assert said.startswith("Depth degrades the net with and without shortcuts: ")
    assert "(n = 2, variance pooled over 4 groups)" in said


def test_figures_without_spread_or_that_all_diverge_are_not_called_an_effect() -> None:
    groups = [group(20, "none", 1.0, 1.0), group(56, "none", 2.0, 2.0)]
    assert conclude(groups).startswith("Figures that no seed changes have no spread")
    lost = [group(depth, "none", diverged=2) for depth in (20, 56)]
    said = conclude([*lost, group(20, "A", *LOW), group(56, "A", *MID)])
    assert said.startswith("Where the loss diverges at both depths they cannot be compared")


def test_settings_are_never_pooled_in_a_conclusion() -> None:
    """Of two that only rounding tells apart, the one with more seeds speaks."""
    groups = [group(20, "A", *LOW), group(56, "A", *HIGH), group(56, "A", 1.0, **{"trainer.threads": 2})]
    assert "to 5.50 ± 0.50 % at 56" in conclude(groups)


def test_one_seed_cannot_tell() -> None:
    groups = [group(20, "none", 1.4), group(56, "none", 82.0), group(20, "A", 0.8), group(56, "A", 0.7)]
    said = conclude(groups)
    assert said.startswith("One seed cannot tell an effect of depth from chance")
    assert "none of the 3 others can be told from it with n = 1" in said


def test_plain_net_that_diverges_degrades() -> None:
    said = conclude([group(20, "none", 1.4, 1.5), group(56, "none", diverged=2)])
    assert said.startswith(f"{DEGRADES}: ")
    assert "to no result at 56, the loss diverges" in said


def test_depths_are_compared_where_both_kinds_have_them() -> None:
    groups = [group(depth, "none", 1.0 + depth / 10, 1.1 + depth / 10) for depth in (20, 56)]
    groups += [group(depth, "A", 9.0 - depth / 100, 9.1 - depth / 100) for depth in (20, 56, 110)]
    assert "residual nets go from 8.85 ± 0.07 % at 20 layers to 8.49 ± 0.07 % at 56" in conclude(groups)


def test_each_of_several_kinds_is_told_by_what_it_has_of_its_own() -> None:
    bare = {"model.batch_norm": False}
    groups = [group(20, "A", *LOW), group(56, "A", *MID)]
    groups += [group(20, "A", *LOW, **bare), group(56, "A", *HIGH, **bare)]
    said = conclude(groups)
    assert said.startswith("Depth raises the error of residual (batch_norm=false) nets; it cannot be told")
    assert "residual nets go from 1.10 ± 0.10 % at 20 layers to 1.10 ± 0.05 % at 56" in said
    assert "residual (batch_norm=false) nets go from 1.10 ± 0.10 % at 20 layers to 5.50 ± 0.50 %" in said


def test_nothing_finished_is_said(tmp_path: Path) -> None:
    interrupted(configured(tmp_path))
    for groups in (summarise(collect(tmp_path)), []):
        assert conclude(groups) == "No run has finished, so there is nothing to conclude yet."


def test_half_a_sweep_concludes_what_it_can() -> None:
    waiting = Group((run_of(configured(Path("runs"), 56, "none"), Record(state=State.RUNNING)),))
    groups = [group(20, "none", *LOW), waiting, group(20, "A", *LOW), group(56, "A", *HIGH)]
    assert conclude(groups).startswith("Depth raises the error of residual nets: ")
    assert "plain nets" not in conclude(groups)


def test_bottleneck_against_basic_states_the_costs() -> None:
    basic = group(56, "B", *HIGH)
    bottleneck = group(56, "B", *LOW, **{"model.block": "bottleneck"})
    assert conclude([basic, bottleneck]) == (
        "resnet-56-bottleneck is best by test error, with 1.10 ± 0.10 %: resnet-56-B is worse by +4.40 (95 % interval "
        "+3.41 to +5.39), with 1.46 times the parameters and 1.53 times the multiply-adds (n = 3)."
    )


def test_what_cannot_be_told_from_the_best_is_named_and_the_next_has_its_interval() -> None:
    groups = [group(56, "A", *LOW), group(56, "constant_scaling", *MID), group(56, "exclusive_gating", *HIGH)]
    said = conclude(groups)
    assert "1 of 2 others cannot be told from it (resnet-56-constant_scaling)" in said
    assert "resnet-56-exclusive_gating is worse by +4.40 (95 % interval +3.41 to +5.39)" in said


def test_many_comparisons_with_the_best_are_corrected() -> None:
    """Each of these is told from the best at 5 % alone, and none of the ten when all are looked at."""
    rates = {index: group(20, "A", 2.0, 2.5, 2.7, **{"recipe.momentum": index / 100}) for index in range(10)}
    first = group(20, "A", 1.0, 1.1, 1.4, **{"recipe.momentum": 0.9})
    alone = conclude([first, rates[0]])
    assert "momentum=0.0 is worse by +1.23" in alone
    assert "none of the 10 others can be told from it" in conclude([first, *rates.values()])


def test_the_best_is_chosen_by_validation_where_there_is_one() -> None:
    groups = [group(20, "A", 1.0, 1.2, 1.1), group(56, "A", 2.0, 2.25, 2.1), group(32, "A", 0.5, 0.4, 0.45)]
    for each, error in zip(groups, (5.0, 3.0, 4.0), strict=True):
        for run in each.runs:
            run.record.last["val/error"] = error
    said = conclude(groups)
    assert "resnet-56 is best by validation error, with a test error of 2.12 ± 0.13 %" in said
    assert "but 2 of the others have a better test error" in said


def test_range_of_learning_rates_that_train() -> None:
    ends = {0.01: (2.0, [3.0]), 0.1: (1.0, [88.0]), 1.0: (3.0, []), 10.0: (85.0, [])}
    groups = []
    for rate, (with_norm, without) in ends.items():
        none = {"recipe.lr": rate, "model.batch_norm": False}
        groups.append(group(20, "A", with_norm, **{"recipe.lr": rate}))
        groups.append(group(20, "A", *without, diverged=1 - len(without), **none))
    assert conclude(groups).startswith(
        "The best learning rate by test error is 0.1 (1.00 %, n = 1), which cannot be told from 0.01, 1, and 3 of 4 "
        "train (0.01 to 1, 100 times), with batch norm on; 0.01 (3.00 %, n = 1), and 1 of 4 train (0.01), with batch "
        "norm off."
    )


def test_a_sweep_over_learning_rates_says_which_is_best() -> None:
    ends = {0.01: (5.0, 5.1, 5.3), 0.03: (2.2, 2.0, 2.15), 0.1: (2.0, 2.1, 2.2), 0.3: (9.0, 9.4, 9.3)}
    groups = [group(20, "A", *errors, **{"recipe.lr": rate}) for rate, errors in ends.items()]
    assert conclude(groups) == (
        "The best learning rate by test error is 0.1 (2.10 ± 0.10 %, n = 3), which cannot be told from 0.03."
    )


def test_no_learning_rate_trains() -> None:
    groups = [group(20, "A", diverged=1, **{"recipe.lr": rate}) for rate in (1.0, 3.0, 10.0)]
    assert conclude(groups) == "None of the learning rates that were tried trains (1 to 10)."
    assert conclude(groups[:2]) == "No run came through: all diverged."


def test_gradients_far_apart_are_told(tmp_path: Path) -> None:
    folder = finished(configured(tmp_path, 56, "none"), 40.0)
    rows = [
        f"{epoch},{layer},conv{layer},{10.0 ** (layer - 3 + epoch)}" for epoch in (0, 1) for layer in range(3)
    ]
    (folder.path / "gradient_norms.csv").write_text("\n".join(["epoch,layer_index,layer,value", *rows, ""]))
    said = conclude(summarise(collect(tmp_path)))
    assert "at the first measured epoch: plain-56: 100 times" in said


def test_meeting_the_paper_is_counted() -> None:
    paper = {"data.name": "cifar10", "recipe.iterations": 64000, "recipe.epochs": None}
    groups = [group(20, "A", 8.7, 8.8, **paper)]
    said = conclude(groups, beside_the_paper(groups, "he2015/table6"))
    assert said.startswith("Beside 6 figures of the paper: 5 not run, 1 not comparable.")
