"""The paper's figure beside ours: which run answers which, and every verdict."""

from pathlib import Path
from typing import Any

import pytest

from resnet_lab import reference
from resnet_lab.errors import UserError
from resnet_lab.report import Group, beside_the_paper
from resnet_lab.report.paper import Beside, figures
from resnet_lab.runs.record import Record, State
from run_folders import configured, group, lost, run_of

PAPER: dict[str, Any] = {
    "data.name": "cifar10",
    "data.pad": 4,
    "data.flip": True,
    "recipe.epochs": None,
    "recipe.iterations": 64000,
    "recipe.batch_size": 128,
    "recipe.schedule": "step",
    "recipe.drops": [32000.0, 48000.0],
}


def row(name: str, label: str, *groups: Group) -> Beside:
    (found,) = [each for each in beside_the_paper(groups, name) if each.figure.label == label]
    return found


def test_every_figure_of_ours_in_the_papers_tables_has_runs_that_answer_it() -> None:
    answered = {name: len(figures(name)) for name in reference.names()}
    ours = {"he2015/table6": "ResNet", "he2016/table4": "ResNet", "he2016/table5": "ResNet"}
    for name, method in ours.items():
        rows = [cells for cells in reference.table(name) if cells["method"].startswith(method)]
        answered_rows = [row for row in rows if "Inception" not in row["method"]]
        assert answered[name] == len(answered_rows)
    assert answered["he2015/table2"] == 4
    assert answered["he2015/table3"] == 7
    assert answered["he2015/table4"] == 5
    assert answered["he2016/table1"] == len(reference.table("he2016/table1"))
    assert answered["he2016/table2"] == 2 * len(reference.table("he2016/table2"))
    assert answered["he2016/table3"] == 2 * len(reference.table("he2016/table3"))
    assert answered["he2015/table1"] == answered["he2015/fig7"] == 0


def test_figures_are_printed_with_their_statistic() -> None:
    said = {figure.label: str(figure) for figure in figures("he2015/table6")}
    assert (said["ResNet-20"], said["ResNet-110"]) == ("8.75", "6.43 (best of 5; mean 6.61 ± 0.16)")
    said = {figure.label: str(figure) for figure in figures("he2016/table1")}
    assert (said["original"], said["dropout shortcut 0.5"]) == ("6.61 (median of 5)", "fail")
    assert {figure.label: str(figure) for figure in figures("he2015/fig6")}["plain-110"] == ">60"


def test_unknown_table_is_a_user_error() -> None:
    with pytest.raises(UserError, match="he2015/table6"):
        beside_the_paper([], "he2015/table66")


@pytest.mark.parametrize(
    ("errors", "verdict"),
    [
        ((8.6, 8.8, 9.0), "agrees"),  # mean 8.80, std 0.20: within 4.30 * 0.20 sqrt(1/3 + 1) = 0.99 of 8.75
        ((9.1, 9.3, 9.5), "agrees"),  # two standard errors would have been 0.46
        ((9.7, 9.9, 10.1), "higher"),
        ((7.4, 7.6, 7.8), "lower"),
        ((8.6, 8.8), "agrees: but n = 2 shows no small difference"),
        ((8.7,), "not comparable: one seed has no spread"),
        ((8.7, 8.7), "not comparable: no spread was seen"),
        ((70.0, 80.0, 81.0), "fails, the paper's trains"),
    ],
)
def test_single_figure_is_held_against_our_mean(errors: tuple[float, ...], verdict: str) -> None:
    assert row("he2015/table6", "ResNet-20", group(20, "A", *errors, **PAPER)).verdict == verdict


def test_the_papers_own_spread_enters_where_it_is_printed() -> None:
    """Ours 6.86 ± 0.05 of 5; the paper's 6.61 ± 0.16 of 5: Welch's t allows 0.20."""
    ours = (6.81, 6.81, 6.86, 6.91, 6.91)
    found = row("he2015/table6", "ResNet-110", group(110, "A", *ours, **PAPER))
    assert (found.verdict, found.difference.mean) == ("higher", pytest.approx(0.25))
    assert found.difference.interval == "+0.05 to +0.45"
    near = row("he2015/table6", "ResNet-110", group(110, "A", *(value - 0.1 for value in ours), **PAPER))
    assert (near.verdict, near.difference.mean) == ("agrees", pytest.approx(0.15))


def test_median_is_held_against_our_median() -> None:
    five = group(110, "A", 6.5, 6.6, 6.62, 6.7, 12.0, **PAPER)
    found = row("he2016/table1", "original", five)
    assert (found.verdict, found.difference.mean) == ("agrees", pytest.approx(0.01))


def test_fewer_runs_than_the_papers_do_not_compare() -> None:
    found = row("he2016/table1", "original", group(110, "A", 6.5, 6.6, **PAPER))
    assert found.verdict == "not comparable: 2 runs, the paper has 5"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"data.name": "fashion_mnist"}, "data.name fashion_mnist, not cifar10"),
        ({"data.train_images": 5000}, "data.train_images 5,000, not all"),
        ({"data.size": 14}, "data.size 14, not all"),
        ({"recipe.iterations": 1400}, "iterations 1,400, not 64,000"),
        ({"recipe.batch_size": 64}, "recipe.batch_size 64, not 128"),
        ({"recipe.drops": [32000.0]}, "recipe.drops [32000.0], not [32000, 48000]"),
        ({"debug": True}, "a debug run"),
        ({"data.flip": False, "recipe.lr": 0.2}, "data.flip false, not true; recipe.lr 0.2, not 0.1"),
    ],
)
def test_other_data_or_schedule_do_not_compare(changed: dict[str, Any], reason: str) -> None:
    ours = group(20, "A", 8.6, 8.8, **{**PAPER, **changed})
    found = row("he2015/table6", "ResNet-20", ours)
    assert set(found.verdict.removeprefix("not comparable: ").split("; ")) == set(reason.split("; "))
    assert found.difference.mean == pytest.approx(-0.05)


def test_fail_is_compared_with_fail() -> None:
    dropout = {**PAPER, "model.shortcut_dropout": 0.5}
    label = "dropout shortcut 0.5"
    for failing in ({}, {"diverged": 5}):
        errors = () if failing else (30.0, 40.0, 50.0, 60.0, 19.0)
        found = row("he2016/table1", label, group(110, "dropout", *errors, **failing, **dropout))
        assert found.verdict == "fails, as the paper's"
    low = group(110, "dropout", 9.0, 9.1, 9.2, 9.3, 9.4, **dropout)
    assert row("he2016/table1", label, low).verdict == "trains, the paper's fails"


def test_what_is_not_there_is_told() -> None:
    config = configured(Path("runs"), 20, **PAPER)
    waiting = run_of(config, Record(state=State.RUNNING))
    assert row("he2015/table6", "ResNet-20", Group((waiting,))).verdict == "not finished: 1 running"
    broken = run_of(config, lost(config, "out_of_memory"))
    found = row("he2015/table6", "ResNet-20", Group((broken,)))
    assert found.verdict == "not finished: 1 failed: out_of_memory"
    assert row("he2015/table6", "ResNet-20").verdict == "not run"
    plain = group(110, "none", 61.0, 62.0, **PAPER)
    assert row("he2015/fig6", "plain-110", plain).verdict == "not comparable: the paper says >60"


def test_ensemble_is_never_compared_with_one_net() -> None:
    net = {"model.family": "imagenet", "model.block": "bottleneck", "model.width": 64, "model.stem": "7x7"}
    found = row("he2015/table5", "six models (one of 152)", group(152, "B", 19.4, **net))
    assert found.verdict.startswith("not comparable: the paper averages six models")


def test_later_tricks_make_another_net() -> None:
    for other in (group(20, "A", 8.6, **PAPER, **{"model.drop_path": 0.5}), group(20, "none", 8.6, **PAPER)):
        assert row("he2015/table6", "ResNet-20", other).group is None


def test_any_of_the_biases_answers_the_row_that_names_a_range() -> None:
    gates = [
        group(110, "exclusive_gating", 50.0, **PAPER, **{"model.gate_bias": bias})
        for bias in (-2.0, -5.0, -6.0)
    ]
    found = [each for each in beside_the_paper(gates, "he2016/table1") if each.group is not None]
    assert [each.figure.label for each in found] == ["exclusive gating 0 to -5"] * 2 + ["exclusive gating -6"]


def test_both_training_sizes_stand_beside_one_row() -> None:
    """The paper leaves open whether 45k or 50k images train: both are reported, both compare."""
    whole = group(20, "A", 8.6, 8.8, **PAPER)
    part = group(20, "A", 8.9, 9.0, **PAPER, **{"data.validation": 5000})
    found = beside_the_paper([whole, part], "he2015/table6")
    assert [each.group for each in found if each.figure.label == "ResNet-20"] == [whole, part]
    assert "not comparable" not in found[0].verdict + found[1].verdict


def test_others_are_reproductions_of_the_same_net_and_protocol() -> None:
    def others(name: str, label: str) -> list[float]:
        (figure,) = [figure for figure in figures(name) if figure.label == label]
        return [found["error"] for found in figure.others()]

    assert others("he2015/table6", "ResNet-20") == [8.27, 8.29, 8.73, 8.56]
    assert set(others("he2015/table6", "ResNet-56")) > {7.40, 7.29, 6.89, 8.42, 7.95}
    assert others("he2016/table5", "ResNet-152, original, 224") == [22.16, 23.0]
    assert others("he2016/table5", "ResNet-152, original, 320") == []
    assert others("he2015/table3", "ResNet-50") == [22.24]


def test_cifar_10_does_not_answer_a_row_of_cifar_100() -> None:
    net = {**PAPER, "model.block": "bottleneck", "model.order": "full_preactivation"}
    ten = group(164, "B", 5.4, **net)
    hundred = group(164, "B", 24.0, **{**net, "data.name": "cifar100", "model.num_classes": 100})
    found = {each.figure.label: each.group for each in beside_the_paper([ten, hundred], "he2016/table3")}
    assert found["CIFAR-10 ResNet-164, pre-activation"] is ten
    assert found["CIFAR-100 ResNet-164, pre-activation"] is hundred
    assert found["CIFAR-10 ResNet-164, baseline"] is None
