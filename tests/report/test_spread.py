"""One figure over seeds, and every interval, against SciPy's own tests."""

import math
import statistics

import pytest
from scipy import stats

from resnet_lab.report.spread import Spread, against_figure, difference, holm, interval_of, pooled, welch

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
        ((0.9, 0.9), (0.4, 0.4, 0.4), "unknown", "+0.50 (no interval: no spread was seen)"),
        ((), THEIRS, "unknown", "no interval"),
    ],
)
def test_a_difference_is_called_what_its_interval_allows(
    ours: tuple[float, ...], theirs: tuple[float, ...], way: str, said: str
) -> None:
    one, other = (Spread(values, tuple(range(len(values)))) for values in (ours, theirs))
    found = difference(one, other)
    assert found.way == way
    assert said in str(found)


def test_one_printed_figure_is_held_against_the_interval_of_a_further_run() -> None:
    found = against_figure(0.3, 0.2, 3, 1)
    assert found.half == pytest.approx(stats.t.ppf(0.975, 2) * 0.2 * math.sqrt(1 / 3 + 1))
    assert against_figure(0.3, math.nan, 1, 1).way == "unknown"


def test_means_and_deviations_are_enough_for_welch() -> None:
    expected = stats.ttest_ind_from_stats(6.80, 0.05, 5, 6.61, 0.16, 5, equal_var=False)
    found = welch(0.19, 0.05, 5, 0.16, 5)
    assert (found.way == "same") == (expected.pvalue > 0.05)


FEW = [(38.0, 40.1), (71.0, 73.2), (33.1, 36.0), (54.0, 56.9)]


def test_interval_of_a_mean_is_students() -> None:
    expected = stats.ttest_1samp(OURS, 0).confidence_interval(0.95)
    found = interval_of(Spread(OURS))
    assert (found.low, found.high) == pytest.approx(expected)
    assert math.isnan(interval_of(Spread((7.0,))).half)


def test_two_seeds_have_the_variance_of_all_groups() -> None:
    """That of scipy's analysis of variance: the mean square within the groups."""
    spreads = [Spread(each, (0, 1)) for each in FEW]
    shared = pooled(spreads)
    assert shared is not None
    within = statistics.fmean(statistics.variance(each) for each in FEW)
    assert (shared.std, shared.freedom) == (pytest.approx(math.sqrt(within)), 4)
    between = 2 * statistics.variance([statistics.fmean(each) for each in FEW])
    assert stats.f_oneway(*FEW).statistic == pytest.approx(between / within)
    found = difference(spreads[1], spreads[0], shared)
    assert found.half == pytest.approx(stats.t.ppf(0.975, 4) * math.sqrt(within))
    assert found.how == "variance pooled over 4 groups"
    assert difference(Spread(OURS, (0, 1, 2)), Spread(THEIRS, (0, 1, 2)), shared).how == "paired over 3 seeds"
    assert interval_of(spreads[0], shared).half == pytest.approx(
        stats.t.ppf(0.975, 4) * math.sqrt(within / 2)
    )


@pytest.mark.parametrize(
    "samples",
    [FEW, [OURS, THEIRS, (1.0, 5.0)], [OURS, (0.1, 0.11), (1.0, 9.0)], [(1.0, 1.1), (8, 70), (3, 5)]],
)
def test_a_variance_is_pooled_where_bartletts_test_finds_none_that_differs(
    samples: list[tuple[float, ...]],
) -> None:
    sound = stats.bartlett(*samples).pvalue >= 0.2
    assert (pooled([Spread(each) for each in samples]) is not None) == sound


def test_two_groups_or_one_without_spread_are_not_pooled() -> None:
    assert pooled([Spread(each) for each in FEW[:2]]) is None
    assert pooled([*(Spread(each) for each in FEW), Spread((1.0, 1.0))]) is None


def test_p_is_that_of_the_t_test() -> None:
    paired = difference(Spread(OURS, (0, 1, 2)), Spread(THEIRS, (0, 1, 2)))
    assert paired.p == pytest.approx(stats.ttest_rel(OURS, THEIRS).pvalue)
    apart = difference(Spread(OURS), Spread(THEIRS[:2]))
    assert apart.p == pytest.approx(stats.ttest_ind(OURS, THEIRS[:2], equal_var=False).pvalue)
    assert difference(Spread((1.0,)), Spread(OURS)).p == 1.0


def test_of_many_comparisons_those_stand_that_holm_lets_stand() -> None:
    """0.013 would stand alone; beside two smaller ones and 0.2 it must be below 0.05 / 2."""
    assert holm([0.2, 0.001, 0.013, 0.03]) == [False, True, True, False]
    assert holm([0.03, 0.03]) == [False, False]
    assert holm([]) == []
