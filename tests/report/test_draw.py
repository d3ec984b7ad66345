"""Figures show what was measured, and say over what it was measured."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from scipy import stats

from resnet_lab.report import (
    collect,
    draw_curves,
    draw_depth,
    draw_gradients,
    draw_rates,
    draw_responses,
    summarise,
)
from resnet_lab.report.compare import Group
from resnet_lab.report.draw_layers import measured
from resnet_lab.report.publish import FIGURES
from resnet_lab.report.style import MOST, WIDTHS, for_paper, panels_of
from run_folders import configured, failed, finished, interrupted, measure, quickstart, started, write_history


def read(folder: Path) -> list[Group]:
    return summarise(collect(folder))


def drawn(draw: Callable[[Sequence[Group]], Figure | None], folder: Path) -> Figure:
    figure = draw(read(folder))
    assert figure is not None
    return figure


def test_plain_and_residual_stand_side_by_side_on_one_scale(tmp_path: Path) -> None:
    figure = drawn(draw_curves, quickstart(tmp_path))
    plain, residual = figure.axes
    assert (plain.get_title(), residual.get_title()) == ("plain", "residual (basic, A)")
    assert plain.get_ylim() == residual.get_ylim()
    assert (plain.get_xlabel(), plain.get_ylabel()) == ("iterations", "error (%)")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["20 layers", "56 layers"]
    bold = {line.get_label(): line for line in plain.lines if line.get_linewidth() >= 2}
    thin = [line for line in plain.lines if line.get_linewidth() < 1]
    assert len(bold) == len(thin) == 2
    assert [line.get_color() for line in bold.values()] == [line.get_color() for line in thin]
    x, y = bold["56 layers"].get_data()
    assert (x[-1], y[-1]) == (264, pytest.approx(73.0))
    assert thin[1].get_ydata()[-1] == pytest.approx(36.5)


def test_errors_far_apart_share_a_logarithmic_axis_and_near_ones_a_linear(tmp_path: Path) -> None:
    far = drawn(draw_curves, quickstart(tmp_path / "far"))
    for depth, error in ((20, 9.7), (56, 13.2)):
        finished(configured(tmp_path / "near", depth), error)
    near = drawn(draw_curves, tmp_path / "near")
    assert (far.axes[0].get_yscale(), near.axes[0].get_yscale()) == ("log", "linear")
    assert near.axes[0].get_ylim() == (0, pytest.approx(1.7 * 13.2))
    finished(configured(tmp_path / "low", 20), 1.0)  # from 86 %
    low = drawn(draw_curves, tmp_path / "low")
    assert low.axes[0].get_yscale() == "log"
    for seed, depth, error in ((0, 20, 0.0), (1, 20, 0.4), (0, 56, 88.0)):
        finished(configured(tmp_path / "all", depth, seed=seed), error)
    bottom, top = drawn(draw_curves, tmp_path / "all").axes[0].get_ylim()
    assert bottom < 0.2 < 88.0 < top  # every last test error is seen


def test_unfinished_runs_are_drawn_until_one_has_finished(tmp_path: Path) -> None:
    write_history(interrupted(configured(tmp_path, seed=0)), [50.0])
    points = drawn(draw_curves, tmp_path).axes[0].lines
    assert [(len(line.get_xdata()), line.get_marker()) for line in points] == [(1, "o"), (1, "o")]
    write_history(interrupted(configured(tmp_path, seed=0)), [50.0, 20.0, 10.0])
    write_history(interrupted(configured(tmp_path, seed=1)), [40.0, 30.0])
    figure = drawn(draw_curves, tmp_path)
    assert list(figure.axes[0].lines[0].get_ydata()) == [45.0, 25.0]
    finished(configured(tmp_path, seed=2), 5.0)
    figure = drawn(draw_curves, tmp_path)
    assert len(figure.axes[0].lines[0].get_ydata()) == 12


def test_nothing_to_draw_gives_no_figure(tmp_path: Path) -> None:
    started(configured(tmp_path))
    groups = read(tmp_path)
    assert len(groups) == 1
    assert [draw(groups) for draw in FIGURES.values()] == [None] * 5


def test_choices_at_one_depth_share_a_panel(tmp_path: Path) -> None:
    for shortcut in ("A", "constant_scaling", "dropout"):
        finished(configured(tmp_path, 56, shortcut), 2.0)
    figure = drawn(draw_curves, tmp_path)
    assert [axes.get_title() for axes in figure.axes] == ["56 layers"]
    assert len(figure.legends[0].get_texts()) == 3


def test_learning_rates_with_and_without_batch_norm(tmp_path: Path) -> None:
    for rate, error in ((0.01, 3.0), (0.1, 1.0), (1.0, 2.0)):
        assert draw_rates(read(tmp_path)) is None  # two are not a range
        finished(configured(tmp_path, **{"recipe.lr": rate}), error)
    finished(configured(tmp_path, **{"recipe.lr": 0.01, "model.batch_norm": False}), 5.0)
    failed(configured(tmp_path, **{"recipe.lr": 1.0, "model.batch_norm": False}))
    figure = drawn(draw_rates, tmp_path)
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    points = [line.get_xydata().tolist() for line in axes.lines]
    assert [[0.01, 3.0], [0.1, 1.0], [1.0, 2.0]] in points
    assert [[1.0, 100.0]] in points  # diverged
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"batch norm on", "batch norm off"} == set(words)


def test_layer_responses_stand_in_order_and_sorted_beside_the_papers(tmp_path: Path) -> None:
    for seed, values in enumerate(((1.0, 3.0, 2.0), (2.0, 4.0, 3.0))):
        folder = finished(configured(tmp_path, 20, seed=seed, answers="he2015/fig7"), 2.0)
        measure(folder, "layer_responses", {1: (9.0, 9.0, 9.0), 12: values})
    groups = read(tmp_path)
    assert measured(groups[0], "layer_responses") == {1: 1.5, 2: 3.5, 3: 2.5}
    figure = drawn(draw_responses, tmp_path)
    ordered, by_size = figure.axes
    ours, *theirs = ordered.lines
    assert list(ours.get_ydata()) == [1.5, 3.5, 2.5]
    assert list(by_size.lines[0].get_ydata()) == [3.5, 2.5, 1.5]
    assert len(theirs) == 5
    assert {len(line.get_xdata()) for line in theirs} == {19, 55, 109}


def test_gradients_are_those_of_the_first_and_the_last_measured_epoch(tmp_path: Path) -> None:
    folder = finished(configured(tmp_path, 20, "none"), 2.0)
    measure(folder, "gradient_norms", {1: (0.1, 0.2), 5: (0.7, 0.7), 12: (0.3, 0.4)})
    with (folder.path / "gradient_norms.csv").open("a") as file:
        file.write("13,1,conv1,0.")  # being written
    figure = drawn(draw_gradients, tmp_path)
    assert [list(axes.lines[0].get_ydata()) for axes in figure.axes] == [[0.1, 0.2], [0.3, 0.4]]
    assert figure.axes[0].get_yscale() == "log"


def test_depth_is_drawn_with_the_interval_of_the_mean_and_a_dot_for_each_seed(tmp_path: Path) -> None:
    errors = {20: (9.0, 10.0, 14.0), 56: (12.0,)}
    for depth, several in errors.items():
        for seed, error in enumerate(several):
            finished(configured(tmp_path, depth, seed=seed), error)
    figure = drawn(draw_depth, tmp_path)
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("layers", "test error (%)")
    (bars,) = axes.containers
    mean, _, (lines,) = bars
    assert mean.get_xydata().tolist() == [[20, 11.0], [56, 12.0]]
    low, high = stats.t.interval(0.95, 2, 11.0, stats.sem(errors[20]))
    assert lines.get_segments()[0].tolist() == [[20, pytest.approx(low)], [20, pytest.approx(high)]]
    assert lines.get_segments()[1].tolist() == [[56, 12.0], [56, 12.0]]
    dots = [line.get_ydata() for line in axes.lines if line.get_alpha()]
    assert [sorted(each) for each in dots] == [[9.0, 10.0, 14.0], [12.0]]


def test_names_stand_beside_their_results_where_the_main_choice_is_no_number(tmp_path: Path) -> None:
    for shortcut, error in (("A", 2.0), ("constant_scaling", 5.0), ("dropout", 9.0)):
        finished(configured(tmp_path, 56, shortcut), error)
    figure = drawn(draw_depth, tmp_path)
    (axes,) = figure.axes
    names = {text.get_text(): text.get_position()[1] for text in axes.get_yticklabels()}
    assert set(names) == {f"residual (basic, {name})" for name in ("A", "constant_scaling", "dropout")}
    places = {y: x for x, y in axes.containers[0][0].get_xydata().tolist()}
    kinds = {"A": 2.0, "constant_scaling": 5.0, "dropout": 9.0}
    assert places == {names[f"residual (basic, {name})"]: error for name, error in kinds.items()}


def test_no_panel_has_more_lines_than_can_be_told_apart_and_none_is_lost() -> None:
    lines = [
        ({"lr": f"lr {lr}", "seed": f"decay {decay}"}, (lr, decay)) for lr in range(6) for decay in range(2)
    ]
    panels = panels_of(lines)
    assert {title: list(named) for title, named in panels.items()} == {
        "decay 0": [f"lr {lr}" for lr in range(6)],
        "decay 1": [f"lr {lr}" for lr in range(6)],
    }
    alike = panels_of([({"": "same"}, index) for index in range(2 * MOST + 1)])
    assert [len(named) for named in alike.values()] == [MOST, MOST, 1]
    assert sorted(item for named in alike.values() for item in named.values()) == list(range(2 * MOST + 1))


def many(folder: Path) -> None:
    for epochs in range(1, 8):
        for decay in (1e-4, 5e-4):
            finished(configured(folder, **{"recipe.epochs": epochs, "recipe.weight_decay": decay}), 2.0)


def test_of_many_panels_the_first_are_drawn_and_the_legend_counts_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many(tmp_path)
    monkeypatch.setattr("resnet_lab.report.draw.PANELS", 1)
    figure = drawn(draw_curves, tmp_path)
    assert len(figure.axes) == 1
    assert "1 more" in figure.legends[0].get_title().get_text()


@pytest.mark.parametrize("width", [None, *WIDTHS])
def test_a_legend_is_never_cut(tmp_path: Path, width: str | None) -> None:
    many(tmp_path)
    with for_paper(width):
        figure = drawn(draw_curves, tmp_path)
    figure.draw_without_rendering()
    box, whole = figure.legends[0].get_window_extent(), figure.bbox
    assert whole.x0 <= box.x0 < box.x1 <= whole.x1
    assert whole.y0 <= box.y0 < box.y1 <= whole.y1
    assert not any(axes.bbox.overlaps(box) for axes in figure.axes)
    if width:
        assert figure.get_figwidth() == WIDTHS[width]
