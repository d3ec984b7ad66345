"""One figure over several seeds, and when two such figures differ."""

import math
import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """One figure over several seeds; nan where there are too few."""

    values: tuple[float, ...] = ()

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values) if self.values else math.nan

    @property
    def std(self) -> float:
        """Sample standard deviation (n - 1)."""
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


def standard_error(std: float, n: int, other_std: float, other_n: int) -> float:
    """Of the difference of two means."""
    return math.sqrt(std**2 / n + other_std**2 / other_n)


def direction(difference: float, error: float) -> str:
    """same within two standard errors, else higher or lower; unknown where there is no standard error."""
    if math.isnan(difference) or math.isnan(error):
        return "unknown"
    if abs(difference) <= 2 * error:
        return "same"
    return "higher" if difference > 0 else "lower"
