"""Compute statistics of a figure over several seeds, and of the difference of two: every interval of a report."""

import math
import statistics
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

LEVEL = 0.95  # of every interval, two-sided
EQUAL = 1e-9  # percentage points: two figures nearer than that differ in rounding only
SAME, ALONE, STILL = "the same values", "one seed has no spread", "no spread was seen"
SMALL = 2  # seeds for which a variance pooled over all groups stands for their own
LEAST_GROUPS = 3  # from which it is pooled
UNLIKE = 0.2  # Bartlett's p below which the variances are not taken to be equal


@dataclass(frozen=True)
class Spread:
    """A figure over several seeds; nan where there are too few."""

    values: tuple[float, ...] = ()
    seeds: tuple[Hashable, ...] = ()  # of each value, or another key that pairs it; empty if unknown

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values) if self.values else math.nan

    @property
    def std(self) -> float:
        """Return the sample standard deviation (n - 1)."""
        return statistics.stdev(self.values) if self.n > 1 else math.nan

    @property
    def median(self) -> float:
        return statistics.median(self.values) if self.values else math.nan

    @property
    def best(self) -> float:
        return min(self.values, default=math.nan)

    def __str__(self) -> str:
        if not self.values:
            return "–"
        return f"{self.mean:.2f} ± {self.std:.2f}" if self.n > 1 else f"{self.mean:.2f}"


@dataclass(frozen=True)
class Pooled:
    """A standard deviation that groups share."""

    std: float
    freedom: int
    groups: int

    def __str__(self) -> str:
        return f"variance pooled over {self.groups} groups"


@dataclass(frozen=True)
class Difference:
    """A figure minus another, and the interval that holds the true difference in 95 of 100 such samples."""

    mean: float = math.nan
    error: float = math.nan  # standard error; nan where there is none
    freedom: float = math.nan  # of Student's t
    how: str = ""  # how the interval was made, or why there is none

    @cached_property
    def half(self) -> float:
        """Return half of the interval's width; nan where there is none."""
        return self.error * t_of(self.freedom) if self.error else self.error

    @cached_property
    def p(self) -> float:
        """Return the two-sided probability of so large a difference where there is none; 1 if it is not known."""
        if math.isnan(self.error):
            return 1.0
        from scipy.special import stdtr

        return 2 * float(stdtr(self.freedom, -abs(self.mean) / self.error)) if self.error else 0.0

    @property
    def low(self) -> float:
        return self.mean - self.half

    @property
    def high(self) -> float:
        return self.mean + self.half

    @property
    def way(self) -> str:
        """Return higher or lower where the interval leaves out 0, same where it does not, unknown without one."""
        if math.isnan(self.half):
            return "same" if self.how == SAME else "unknown"
        return "higher" if self.low > 0 else "lower" if self.high < 0 else "same"

    def __str__(self) -> str:
        if math.isnan(self.half):
            return f"{self.mean:+.2f} (no interval: {self.how})"
        return f"{self.mean:+.2f} (95 % interval {self.interval}, {self.how})"

    @property
    def interval(self) -> str:
        """Return the interval as ``-0.60 to +1.34``; empty if there is none."""
        return "" if math.isnan(self.half) else f"{self.low:+.2f} to {self.high:+.2f}"


def interval_of(spread: Spread, pooled: Pooled | None = None) -> Difference:
    """Return the mean with its own interval, by the pooled variance where there are few seeds."""
    if spread.n < 2:
        return Difference(spread.mean, how=ALONE)
    if pooled and spread.n <= SMALL:
        return _within(spread.mean, pooled.std / math.sqrt(spread.n), pooled.freedom, str(pooled))
    return _within(spread.mean, spread.std / math.sqrt(spread.n), spread.n - 1, f"n = {spread.n}")


def difference(ours: Spread, theirs: Spread, pooled: Pooled | None = None) -> Difference:
    """Return ours minus theirs with its interval.

    With few seeds (SMALL) by the pooled variance, where one is given. Else paired where both have the same seeds, which
    share order and augmentation, and Welch's t where they have not. Paired only over all of them, so that the
    difference is that of the means and no value is left out.
    """
    mean = ours.mean - theirs.mean
    if pooled and 2 <= min(ours.n, theirs.n) <= SMALL:
        error = pooled.std * math.sqrt(1 / ours.n + 1 / theirs.n)
        return _within(mean, error, pooled.freedom, str(pooled))
    pairs = dict(zip(theirs.seeds, theirs.values, strict=bool(theirs.seeds)))
    if len(pairs) > 1 and len(ours.seeds) == len(pairs) and pairs.keys() == set(ours.seeds):
        gaps = [value - pairs[seed] for seed, value in zip(ours.seeds, ours.values, strict=True)]
        error = statistics.stdev(gaps) / math.sqrt(ours.n)
        what = "seeds" if all(isinstance(seed, int) for seed in pairs) else "runs"
        return _within(mean, error, ours.n - 1, f"paired over {ours.n} {what}")
    return welch(mean, ours.std, ours.n, theirs.std, theirs.n)


def pooled(spreads: Sequence[Spread]) -> Pooled | None:
    """Return the standard deviation that these groups share; None where they are too few, or it would be unsound.

    Sound: Bartlett's test does not tell the variances apart (p of at least UNLIKE), and each group has a spread.
    """
    samples = [spread for spread in spreads if spread.n > 1]
    freedom = sum(spread.n - 1 for spread in samples)
    if len(samples) < LEAST_GROUPS or any(spread.std <= EQUAL for spread in samples):
        return None
    variance = sum((spread.n - 1) * spread.std**2 for spread in samples) / freedom
    logs = sum((spread.n - 1) * math.log(spread.std**2) for spread in samples)
    inverse = sum(1 / (spread.n - 1) for spread in samples) - 1 / freedom
    bartlett = (freedom * math.log(variance) - logs) / (1 + inverse / (3 * (len(samples) - 1)))
    from scipy.special import chdtrc

    if float(chdtrc(len(samples) - 1, bartlett)) < UNLIKE:
        return None
    return Pooled(math.sqrt(variance), freedom, len(samples))


def holm(values: Sequence[float], level: float = 1 - LEVEL) -> list[bool]:
    """Return which of these p-values stand when all are looked at: Holm's step-down procedure."""
    order = sorted(range(len(values)), key=lambda index: values[index])
    stands = [False] * len(values)
    for step, index in enumerate(order):
        if values[index] > level / (len(values) - step):
            break
        stands[index] = True
    return stands


def welch(mean: float, std: float, n: int, other_std: float, other_n: int) -> Difference:
    """Return a difference of means of samples whose spreads may differ, by Welch and Satterthwaite."""
    if min(n, other_n) < 2:
        return Difference(mean, how=ALONE)
    ours, theirs = std**2 / n, other_std**2 / other_n
    error = math.sqrt(ours + theirs)
    freedom = error**4 / (ours**2 / (n - 1) + theirs**2 / (other_n - 1)) if error > EQUAL else math.inf
    return _within(mean, error, freedom, f"Welch, n = {n} and {other_n}")


def against_figure(mean: float, std: float, n: int, other_n: int, *, wider: float = 1.0) -> Difference:
    """Return the difference to a figure of `other_n` runs that is printed without a spread: ours stands for it."""
    if n < 2:
        return Difference(mean, how=ALONE)
    error = wider * std * math.sqrt(1 / n + 1 / other_n)
    return _within(mean, error, n - 1, f"n = {n}, the other's spread taken to be ours")


def t_of(freedom: float) -> float:
    """Return how many standard errors such an interval reaches to either side, by Student's t."""
    from scipy.special import stdtrit  # a quarter of a second, so only where it is asked for

    return float(stdtrit(freedom, (1 + LEVEL) / 2))


def _within(mean: float, error: float, freedom: float, how: str) -> Difference:
    if error <= EQUAL:
        return Difference(mean, how=SAME if abs(mean) <= EQUAL else STILL)
    return Difference(mean, error, freedom, how)
