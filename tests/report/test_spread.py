"""One figure over seeds, and every interval, against SciPy's own tests."""

import math
import statistics

import pytest
from scipy import stats

from resnet_lab.report.spread import Difference, Spread, against_figure, difference, welch

OURS, THEIRS = (6.0, 7.0, 9.5), (5.0, 5.5, 6.5)


def test_spread_is_that_of_a_sample() -> None:
    spread = Spread((6.0, 7.0, 9.5))
    assert spread.std == pytest.approx(statistics.stdev([6.0, 7.0, 9.5]))
    assert (spread.n, spread.mean, spread.median, spread.best) == (3, 7.5, 7.0, 6.0)
    assert str(spread) == "7.50 ± 1.80"
    assert str(Spread((7.0,))) == "7.00"
    assert str(Spread()) == "–"
    assert math.isnan(Spread((7.0,)).std)


@pytest.mark.parametrize("theirs", [THEIRS, THEIRS[:2], (*THEIRS, 5.2, 8.0)])
def test_without_seeds_in_common_the_interval_is_welchs(theirs: tuple[float, ...]) -> None:
    expected = stats.ttest_ind(OURS, theirs, equal_var=False).confidence_interval(0.95)
    seeds = tuple(range(10, 10 + len(theirs)))
    for found in (
        difference(Spread(OURS), Spread(theirs)),
        difference(Spread(OURS, (0, 1, 2)), Spread(theirs, seeds)),
    ):
        assert (found.low, found.high) == pytest.approx(expected)
        assert found.how == f"Welch, n = 3 and {len(theirs)}"


def test_with_the_same_seeds_the_interval_is_that_of_the_pairs() -> None:
    expected = stats.ttest_rel(OURS, THEIRS).confidence_interval(0.95)
    shuffled = Spread((THEIRS[2], THEIRS[0], THEIRS[1]), (2, 0, 1))
    found = difference(Spread(OURS, (0, 1, 2)), shuffled)
    assert (found.low, found.high) == pytest.approx(expected)
    assert str(found) == "+1.83 (95 % interval -0.75 to +4.42, paired over 3 seeds)"


def test_seeds_of_which_only_some_are_shared_are_not_paired() -> None:
    """The difference stays that of the means, and no value is left out."""
    found = difference(Spread(OURS, (0, 1, 2)), Spread(THEIRS, (1, 2, 3)))
    assert (found.how, found.mean) == ("Welch, n = 3 and 3", pytest.approx(7.5 - 17 / 3))


@pytest.mark.parametrize(
    ("ours", "theirs", "way", "said"),
    [
        (OURS, (1.0, 1.5, 1.4), "higher", "paired over 3 seeds"),
        ((1.0, 1.5, 1.4), OURS, "lower", "paired over 3 seeds"),
        (OURS, THEIRS, "same", "paired over 3 seeds"),
        ((7.0,), (5.0,), "unknown", "+2.00 (no interval: one seed has no spread)"),
        ((7.0,), THEIRS, "unknown", "+1.33 (no interval: one seed has no spread)"),
        ((0.4, 0.4), (0.4, 0.4), "same", "+0.00 (no interval: the same values)"),
        ((0.9, 0.9), (0.4, 0.4), "unknown", "+0.50 (no interval: no spread was seen)"),
        ((0.3, 1.1), (0.1, 0.9), "unknown", "+0.20 (no interval: no spread was seen)"),  # but for rounding
        ((), THEIRS, "unknown", "no interval"),
    ],
)
def test_a_difference_is_called_what_its_interval_allows(
    ours: tuple[float, ...], theirs: tuple[float, ...], way: str, said: str
) -> None:
    found = difference(
        Spread(ours, tuple(range(len(ours)))),
        Spread(theirs, tuple(range(len(theirs)))),
    )
    assert found.way == way
    assert said in str(found)


def test_the_same_constant_over_other_seeds_has_no_spread_either() -> None:
    found = difference(Spread((0.9,) * 2, (0, 1)), Spread((0.4,) * 3, (0, 1, 2)))
    assert (found.way, str(found)) == ("unknown", "+0.50 (no interval: no spread was seen)")


def test_one_printed_figure_is_held_against_the_interval_of_a_further_run() -> None:
    found = against_figure(0.3, 0.2, 3, 1)
    assert found.half == pytest.approx(stats.t.ppf(0.975, 2) * 0.2 * math.sqrt(1 / 3 + 1))
    assert against_figure(0.3, math.nan, 1, 1).way == "unknown"


def test_means_and_deviations_are_enough_for_welch() -> None:
    expected = stats.ttest_ind_from_stats(6.80, 0.05, 5, 6.61, 0.16, 5, equal_var=False)
    found = welch(0.19, 0.05, 5, 0.16, 5)
    assert (found.way == "same") == (expected.pvalue > 0.05)
    assert Difference().way == "unknown"
