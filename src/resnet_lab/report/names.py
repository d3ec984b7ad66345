"""Short names of groups, which say only in what they differ. Free of torch."""

from collections.abc import Sequence

from resnet_lab.columns import names, run_names
from resnet_lab.report.choices import FOLD, Choices, differing
from resnet_lab.report.collect import FoundRun
from resnet_lab.report.compare import Group

MOST = 3  # names that a sentence lists, if none is
LONG = 40  # letters


def names_of(groups: Sequence[Group]) -> list[str]:
    """Return a name of each group, for example ``plain-56`` or ``resnet-20 lr=0.1``."""
    return names(
        [group.runs[0].label for group in groups],
        _varying([group.choices for group in groups]),
    )


def names_of_runs(runs: Sequence[FoundRun]) -> list[str]:
    """Return a name of each run, for example ``resnet-20 lr=0.1 s0``."""
    return run_names(
        [run.label for run in runs],
        _varying([run.choices for run in runs], [FOLD]),
        [int(run.choices["seed"]) for run in runs],
        [run.path.name for run in runs],
    )


def _varying(every: Sequence[Choices], more: Sequence[str] = ()) -> list[dict[str, object]]:
    """Return the choices that differ; a condition that is not known is no other."""
    keys = [*differing(every), *more]
    return [{key: choices.get(key) for key in keys} for choices in every]


def short_kinds(kinds: Sequence[str]) -> dict[str, str]:
    """Return kinds of nets without what those of the same name share: ``residual`` for ``residual (basic, A)``."""
    parts = {kind: _parts(kind) for kind in kinds}
    short = {}
    for kind, (name, details) in parts.items():
        alike = [set(others) for other, others in parts.values() if other == name]
        own = [each for each in details if not all(each in others for others in alike)]
        short[kind] = f"{name} ({', '.join(own)})" if own else name
    return short


def some(found: Sequence[str]) -> str:
    """Return the first few of these names."""
    most = 1 if any(len(name) > LONG for name in found) else MOST
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more


def _parts(kind: str) -> tuple[str, list[str]]:
    name, _, details = kind.partition(" (")
    return name, details.removesuffix(")").split(", ") if details else []
