"""Say what the runs show, the finding first, in at most two sentences. Free of torch."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from resnet_lab.columns import COLUMNS, Column, value_word
from resnet_lab.report.against import shared_variance
from resnet_lab.report.choices import but_for_the_seed
from resnet_lab.report.compare import Group, names_of
from resnet_lab.report.draw_depth import RATE, rate_series
from resnet_lab.report.draw_layers import measured
from resnet_lab.report.paper import Beside
from resnet_lab.report.spread import ALONE, SAME, STILL, Difference, Pooled, difference, holm
from resnet_lab.report.table import interval_words, said

SENTENCES = 2
MOST, LONG = 3, 40  # names that a sentence lists, if none has more letters
SERIES = 2  # of learning rates, beyond which a sentence says how many more there are
PLURAL = {"agrees": "agree"}
DIVERGED = "the loss diverges"
CANNOT_TELL = {
    ALONE: "One seed cannot tell an effect of depth from chance",
    STILL: "Figures that no seed changes have no spread, so an effect of depth cannot be told from chance",
    DIVERGED: "Where the loss diverges at both depths they cannot be compared",
}


def conclude(groups: Sequence[Group], beside: Sequence[Beside] = ()) -> str:
    """Return what the runs say so far: the answer to what was varied, then which group is best."""
    if not any(group.n or group.diverged for group in groups):
        return "No run has finished, so there is nothing to conclude yet."
    groups = _of_most_seeds(groups)
    depth, rates = with_depth(groups), learning_rates(groups)
    sentences = [against_the_paper(beside), depth, rates, gradients(groups)]
    if len(rate_series(groups)) != 1 and not (depth and len(groups) == 2):  # otherwise the best was named
        sentences.append(best(groups))
    return " ".join([sentence for sentence in sentences if sentence][:SENTENCES])


def against_the_paper(beside: Sequence[Beside]) -> str:
    """Count how many of the paper's figures ours meet."""
    counts = Counter(each.verdict.split(":")[0] for each in beside)
    said = ", ".join(f"{count} {PLURAL.get(verdict, verdict)}" for verdict, count in counts.most_common())
    return f"Beside {len(beside)} figures of the paper: {said}." if said else ""


def best(groups: Sequence[Group]) -> str:
    """Say which group is best, by validation where all have one, and how far the others are from it."""
    ended = [group for group in groups if group.result.n]
    if not ended:
        return "No run came through: all diverged."
    names = dict(zip(map(id, groups), names_of(groups), strict=True))
    column = ended[0].objective
    first, by = best_of(ended)
    others = [group for group in ended if group is not first]
    others.sort(key=lambda group: _rank(group.result.mean, column))
    if not others:
        lost = len(groups) > 1 and all(group.diverged for group in groups if group is not first)
        more = " All others diverge." if lost else ""
        return f"The {column.heading} of {first.net} is {_error(first)} ({_count([first])}).{more}"
    head = f"{names[id(first)]} is best by {by.heading}, with "
    head += f"{'' if by == column else f'a {column.heading} of '}{_error(first)}"
    shared = shared_variance(groups)
    found = [difference(group.result, first.result, shared) for group in others]
    stands = holm([each.p for each in found])
    near = [names[id(group)] for group, apart in zip(others, stands, strict=True) if not apart]
    apart = [pair for pair, differs in zip(zip(others, found, strict=True), stands, strict=True) if differs]
    worse = [(group, each) for group, each in apart if column.worse(each.mean)]
    group, nearest = worse[0] if worse else (others[0], found[0])
    size = f"by {_size(nearest, column)}{_facts(first, group)}"
    worst, cannot = names[id(group)], f"be told from it with {_count(ended)}"
    if len(others) == 1:
        said = f"{worst} is worse {size}" if worse else f"{worst} cannot {cannot}, and differs {size}"
    elif worse:
        rest = f"{len(worse)} are worse, the nearest, {worst}," if len(worse) > 1 else f"{worst} is worse"
        left = (
            f"{len(near)} of {len(others)} others cannot be told from it ({some(near)}), and " if near else ""
        )
        said = f"{left}{rest} {size}"
    else:
        said = f"none of the {len(others)} others can {cannot}; {worst} differs {size}"
    if better := len(apart) - len(worse):
        said += f"; but {better} of the others have a better {column.heading}"
    measured = len(others) > 1 and any(not math.isnan(each.half) and each.how != SAME for each in found)
    corrected = f", by Holm's correction for {len(others)} comparisons" if measured else ""
    return f"{head}: {said} ({_count(ended)}{corrected})."


def with_depth(groups: Sequence[Group]) -> str:
    """Say what more depth does to plain and to residual nets: the degradation problem, he2015 Section 1."""
    if any(group.objective.key != "test/error" for group in groups):
        return ""
    series = _by_depth(groups)
    plain = [kind for kind in series if kind.startswith("plain")]
    residual = [kind for kind in series if kind not in plain]
    if len(plain) == len(residual) == 1:
        ours, theirs = series[plain[0]], series[residual[0]]
        if len(common := ours.keys() & theirs.keys()) > 1:
            series = {kind: {depth: nets[depth] for depth in common} for kind, nets in series.items()}
    if not series:
        return ""
    alone = len(plain) <= 1 and len(residual) <= 1
    short = short_kinds(list(series))
    names = {kind: ("plain" if kind in plain else "residual") if alone else short[kind] for kind in series}
    shared = shared_variance(groups)
    ends = {names[kind]: (nets[min(nets)], nets[max(nets)]) for kind, nets in series.items()}
    ways = {name: _difference(shallow, deep, shared) for name, (shallow, deep) in ends.items()}
    compared = [group for pair in ends.values() for group in pair]
    hows = {found.how for found in ways.values()}
    said = []
    for name, (shallow, deep) in ends.items():
        found = ways[name]
        size = DIVERGED if found.how == DIVERGED else _size(found, shallow.objective, how=len(hows) > 1)
        said.append(
            f"{name} nets go from {_error(shallow)} at {shallow.depth} layers to {_error(deep)} at {deep.depth}, {size}"
        )
    meaning = _meaning(ways, compared) if alone else _changes(ways, compared)
    how = f", {hows.pop()}" if len(hows) == 1 and not hows & {DIVERGED, ALONE, STILL, SAME} else ""
    how = ", paired over seeds" if how.startswith(", paired") else how
    return f"{meaning}: {'; '.join(said)} ({_count(compared)}{how})."


def learning_rates(groups: Sequence[Group]) -> str:
    """Say which learning rate is best, what cannot be distinguished from it, and which train, of three or more."""
    series = {name: members for name, members in rate_series(groups).items() if len(members) > 2}
    found = {name: said for name, members in series.items() if (said := _rates(members))}
    if not series:
        return ""
    if not found:
        tried = [group.choices[RATE] for members in series.values() for group in members]
        return f"None of the learning rates that were tried trains ({_span(tried)})."
    ended = [group for members in series.values() for group in members if group.n]
    head = f"The best learning rate by {best_of(ended)[1].heading} is"
    if len(series) == 1:
        return f"{head} {next(iter(found.values()))}."
    short = _unshared(list(series))
    listed = [f"{said}, with {short[name]}" for name, said in list(found.items())[:SERIES]]
    more = f"; {len(found) - SERIES} more series" if len(found) > SERIES else ""
    lost = [short[name] for name in series if name not in found]
    none = f"; with {some(lost)} none trains" if lost else ""
    return f"{head} {'; '.join(listed)}{more}{none}."


def gradients(groups: Sequence[Group]) -> str:
    """Say how far apart the gradients of a net's layers lie early in training."""
    said = []
    for group, name in zip(groups, names_of(groups), strict=True):
        norms = measured(group, "gradient_norms", last=False).values()
        if norms and min(norms) > 0:
            said.append(f"{name}: {_times(max(norms) / min(norms))}")
    what = "Largest over smallest gradient norm among a net's layers, at the first measured epoch"
    return f"{what}: {'; '.join(said)}." if said else ""


def _unshared(series: Sequence[str]) -> dict[str, str]:
    """Return the names of series without the words that all of them have."""
    words = {name: name.split(", ") for name in series}
    return {
        name: ", ".join(each for each in own if not all(each in others for others in words.values())) or name
        for name, own in words.items()
    }


def _rates(members: Sequence[Group]) -> str:
    """Return the best rate and the range that trains, such as ``0.1 (0.83 ± 0.28 %) …; 7 of 9 train``."""
    trained = [group for group in members if group.n and group.trains]
    if not trained:
        return ""
    first, _ = best_of(trained)
    others = [group for group in trained if group is not first]
    shared = shared_variance(members)
    stands = holm([difference(group.result, first.result, shared).p for group in others])
    near = [group.choices[RATE] for group, apart in zip(others, stands, strict=True) if not apart]
    said = f"{value_word(first.choices[RATE])} ({_error(first)}, n = {first.n})"
    rates = [group.choices[RATE] for group in trained]
    if near:
        said += f", which cannot be told from {_span(near, [first.choices[RATE]], rates)}"
    if len(rates) == len(members):
        return said
    times = f", {_times(max(rates) / min(rates))}" if len(rates) > 1 else ""
    return f"{said}, and {len(rates)} of {len(members)} train ({_span(rates)}{times})"


def _span(rates: Sequence[float], own: Sequence[float] = (), every: Sequence[float] = ()) -> str:
    """Return ``0.01 to 1`` if these are all rates from the first to the last, otherwise list them."""
    low, high = min(rates), max(rates)
    between = [rate for rate in every if low <= rate <= high and rate not in own]
    if len(rates) > 2 and (not every or sorted(between) == sorted(rates)):
        return f"{low:g} to {high:g}"
    return ", ".join(f"{rate:g}" for rate in sorted(rates))


def _of_most_seeds(groups: Sequence[Group]) -> list[Group]:
    """Keep the group with the most seeds of those that differ only in their conditions; settings are never pooled."""
    most: dict[frozenset[tuple[str, Any]], Group] = {}
    for group in groups:
        net = frozenset(but_for_the_seed(group.choices).items())
        if net not in most or group.n > most[net].n:
            most[net] = group
    return list(most.values())


def _by_depth(groups: Sequence[Group]) -> dict[str, dict[int, Group]]:
    """Return the nets of each kind that was tried at several depths; empty where depth is not all that differs."""
    kinds: dict[str, dict[int, Group]] = {}
    for group in groups:
        if group.depth is not None and (group.n or group.diverged):
            if group.depth in kinds.setdefault(group.kind, {}):
                return {}
            kinds[group.kind][group.depth] = group
    return {kind: nets for kind, nets in kinds.items() if len(nets) > 1}


def _difference(group: Group, other: Group, shared: Pooled | None) -> Difference:
    """Return the other's test error minus this one's; infinite where one of them diverges."""
    ours, theirs = other.result, group.result
    if ours.n and theirs.n:
        return difference(ours, theirs, shared)
    if ours.n == theirs.n:
        return Difference(how=DIVERGED)
    return Difference(-math.inf if ours.n else math.inf, 0.0, math.inf, DIVERGED)


def _meaning(found: dict[str, Difference], groups: Sequence[Group]) -> str:
    """Say what was found on depth, for every outcome."""
    ways = {name: difference.way for name, difference in found.items()}
    unknown = next((each.how for each in found.values() if each.way == "unknown"), None)
    if unknown:
        return CANNOT_TELL[unknown]
    if ways.get("plain") != "higher":
        return _changes(found, groups)
    alone = "Depth alone degrades the net"
    if "residual" not in ways:
        return alone
    less = found["residual"].high < found["plain"].low
    cannot = f"cannot be told with {_count(groups)}"
    return {
        ("lower", True): f"{alone}, and shortcuts turn it into a gain",
        ("same", True): f"Depth degrades the net; with shortcuts by less, and whether at all {cannot}",
        ("same", False): f"Depth degrades the net; whether it does with shortcuts {cannot}",
        ("higher", True): "Depth degrades the net, and with shortcuts by less",
        ("higher", False): "Depth degrades the net with and without shortcuts",
    }[ways["residual"], less]


def _changes(found: dict[str, Difference], groups: Sequence[Group]) -> str:
    """Say for which nets depth changes the error, and for which that is unclear."""
    words = {"higher": "raises", "lower": "lowers"}
    sure = [f"{words[each.way]} that of {name} nets" for name, each in found.items() if each.way in words]
    unsure = [name for name, each in found.items() if each.way not in words]
    cannot = f"it cannot be told with {_count(groups)} whether depth changes the error of {' and '.join(unsure)} nets"
    if not sure:
        return f"I{cannot[1:]}"
    first = "Depth " + " and ".join(sure).replace("that", "the error", 1)
    return f"{first}; {cannot}" if unsure else first


def best_of(groups: Sequence[Group]) -> tuple[Group, Column]:
    """Return the best group, and by what: the validation images where all have some."""
    column = groups[0].objective
    validated = all(group.last(column.validated.key).n for group in groups)
    by = column.validated if validated else column
    return min(groups, key=lambda group: _rank(group.last(by.key).mean, by)), by


def _rank(value: float, column: Column) -> float:
    """Return a smaller number for what is better."""
    return -value if column.better == "higher" else value


def _size(found: Difference, column: Column, *, how: bool = False) -> str:
    """Return a difference in words, for example ``+0.65 (95 % interval +0.25 to +1.05)``."""
    mean = column.signed(found.mean)
    if math.isnan(found.half):
        return f"{mean} ({found.how})"
    return f"{mean} (95 % interval {interval_words(column, found)}{f', {found.how}' if how else ''})"


def _facts(group: Group, other: Group) -> str:
    """Say what the other needs beside this one, where they are of one depth: parameters and multiply-adds."""
    if group.depth != other.depth:
        return ""
    facts = [column for column in COLUMNS.values() if column.part == "model"]
    pairs = [(column.heading, other.fact(column.key), group.fact(column.key)) for column in facts]
    said = [f"{ours / theirs:.2f} times the {name}" for name, ours, theirs in pairs if ours and theirs]
    same = all(ours == theirs for _, ours, theirs in pairs)
    return "" if same or not said else f", with {' and '.join(said)}"


def _count(groups: Sequence[Group]) -> str:
    counts = [group.n for group in groups if group.n] or [0]
    few, many = min(counts), max(counts)
    return f"n = {few} to {many}" if few < many else f"n = {few}"


def _error(group: Group) -> str:
    """Return the result with its unit."""
    column = group.objective
    return f"{said(column, group.result)} {column.unit}".rstrip() if group.result.n else "no result"


def _times(ratio: float) -> str:
    return f"{ratio:,.0f} times" if ratio >= 10 else f"{ratio:.1f} times"


def short_kinds(kinds: Sequence[str]) -> dict[str, str]:
    """Return kinds of nets without what those of the same name share: ``residual`` for ``residual (basic, A)``."""
    parts = {kind: _parts(kind) for kind in kinds}
    short = {}
    for kind, (name, details) in parts.items():
        alike = [others for other, others in parts.values() if other == name]
        own = [each for each in details if not all(each in others for others in alike)]
        short[kind] = f"{name} ({', '.join(own)})" if own else name
    return short


def _parts(kind: str) -> tuple[str, list[str]]:
    name, _, details = kind.partition(" (")
    return name, details.removesuffix(")").split(", ") if details else []


def some(found: Sequence[str]) -> str:
    """Return the first few of these names."""
    most = 1 if any(len(name) > LONG for name in found) else MOST
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more
