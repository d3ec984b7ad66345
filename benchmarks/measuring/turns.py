"""The ways of a benchmark in turns."""

from collections.abc import Callable, Mapping


def interleaved(ways: Mapping[str, Callable[[], float]], turns: int) -> dict[str, list[float]]:
    """What each way measures, once a turn, after a turn that warms up."""
    measured: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(turns + 1):
        for name, way in ways.items():
            value = way()
            if turn:
                measured[name].append(value)
    return measured
