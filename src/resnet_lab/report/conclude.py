"""One sentence a question, drawn from the measured numbers whatever they are. Free of torch."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from resnet_lab.report.choices import but_for_the_seed, shown
from resnet_lab.report.compare import GUESSING, Group, told_apart_by
from resnet_lab.report.draw_layers import measured
from resnet_lab.report.draw_rates import RATE, rate_series
from resnet_lab.report.paper import Beside
from resnet_lab.report.spread import ALONE, STILL, Difference, difference, t_of

FEW, ENOUGH = 2, 5  # seeds that show large effects only, and that show more
PLURAL = {"agrees": "agree"}
DIVERGED = "the loss diverges"
CANNOT_TELL = {
    ALONE: "one seed a net cannot tell an effect from chance",
    STILL: "figures that no seed changes have no spread, so an effect cannot be told from chance",
    DIVERGED: "where the loss diverges at both depths they cannot be compared",
}


def conclude(groups: Sequence[Group], beside: Sequence[Beside] = ()) -> str:
    """What the runs say so far, in one sentence for each question that they can answer."""
    if not any(group.n or group.diverged for group in groups):
        return "No run has finished, so there is nothing to conclude yet."
    told = [against_the_paper(beside), with_depth(groups), learning_rates(groups), gradients(groups)]
    return " ".join(sentence for sentence in told if sentence) or among_choices(groups)


def with_depth(groups: Sequence[Group]) -> str:
    """What more depth does to plain and to residual nets: the degradation problem, he2015 Section 1."""
    groups = _of_most_seeds(groups)
    series = _by_depth(groups)
    plain = [kind for kind in series if kind.startswith("plain")]
    residual = [kind for kind in series if kind not in plain]
    if len(plain) == len(residual) == 1:
        ours, theirs = series[plain[0]], series[residual[0]]
        if len(common := ours.keys() & theirs.keys()) > 1:
            series = {kind: {depth: nets[depth] for depth in common} for kind, nets in series.items()}
    names = {kind: name for name, kinds in (("plain", plain), ("residual", residual)) for kind in kinds}
    alone = len(plain) <= 1 and len(residual) <= 1
    said, ways, seeds = [], {}, []
    for kind, nets in series.items():
        shallow, deep = nets[min(nets)], nets[max(nets)]
        ways[names[kind]] = _difference(shallow, deep)
        said.append(
            f"{names[kind] if alone else kind} nets go from {_error(shallow)} at {shallow.depth} layers to "
            f"{_error(deep)} at {deep.depth}, {_against(shallow, deep)}"
        )
        seeds += [shallow.n, deep.n]
    if not said:
        return ""
    meaning = f": {_meaning(ways)}" if alone else ""
    return f"Test error: {'; '.join(said)}{meaning}{_caution(seeds)}."


def learning_rates(groups: Sequence[Group]) -> str:
    """Which learning rates train, for each series of runs that differ in nothing else."""
    said = []
    for name, members in rate_series(groups).items():
        rates = [group.choices[RATE] for group in members if group.n and group.trains]
        span = f" ({min(rates):g} to {max(rates):g}, {_times(max(rates) / min(rates))})" if rates else ""
        said.append(f"{name}: {len(rates)} of {len(members)}{span}")
    what = f"Learning rates that train (at most {GUESSING:.0%} of the error of guessing)".replace("%", " %")
    return f"{what}, {'; '.join(said)}." if said else ""


def gradients(groups: Sequence[Group]) -> str:
    """How far apart the gradients of a net's layers lie early in training."""
    said = []
    for group in groups:
        norms = measured(group, "gradient_norms", last=False).values()
        if norms and min(norms) > 0:
            said.append(f"{group.net}: {_times(max(norms) / min(norms))}")
    what = "Largest over smallest gradient norm among a net's layers, at the first measured epoch"
    return f"{what}: {'; '.join(said)}." if said else ""


def against_the_paper(beside: Sequence[Beside]) -> str:
    """How many of the paper's figures ours meet."""
    counts = Counter(each.verdict.split(":")[0] for each in beside)
    said = ", ".join(f"{count} {PLURAL.get(verdict, verdict)}" for verdict, count in counts.most_common())
    return f"Beside {len(beside)} figures of the paper: {said}." if said else ""


def among_choices(groups: Sequence[Group]) -> str:
    """Which net has the lowest error, how the others stand to it, and what they cost."""
    ended = sorted((group for group in groups if group.test.n), key=lambda group: group.test.mean)
    if not ended:
        return "No run came through: all diverged."
    keys = told_apart_by(groups)
    best, *others = ended
    said = [f"{_name(group, keys)} has {_error(group)}, {_against(best, group)}" for group in others]
    lowest = f"The lowest test error is {_error(best)}, of {_name(best, keys)}"
    return f"{'; '.join([lowest, *said])}{_caution([group.n for group in ended])}."


def _of_most_seeds(groups: Sequence[Group]) -> list[Group]:
    """Of groups that only the conditions tell apart, the one with the most seeds: settings are never pooled."""
    most: dict[frozenset[tuple[str, Any]], Group] = {}
    for group in groups:
        net = frozenset(but_for_the_seed(group.choices).items())
        if net not in most or group.n > most[net].n:
            most[net] = group
    return list(most.values())


def _by_depth(groups: Sequence[Group]) -> dict[str, dict[int, Group]]:
    """The nets of each kind of unit that was tried at several depths; empty where depth is not all that differs."""
    kinds: dict[str, dict[int, Group]] = {}
    for group in groups:
        if group.depth is not None and (group.n or group.diverged):
            if group.depth in kinds.setdefault(group.kind, {}):
                return {}
            kinds[group.kind][group.depth] = group
    return {kind: nets for kind, nets in kinds.items() if len(nets) > 1}


def _difference(group: Group, other: Group) -> Difference:
    """The other's test error minus this one's; without end where one of them diverges."""
    ours, theirs = other.test, group.test
    if ours.n and theirs.n:
        return difference(ours, theirs)
    if ours.n == theirs.n:
        return Difference(how=DIVERGED)
    return Difference(-math.inf if ours.n else math.inf, 0.0, math.inf, DIVERGED)


def _against(group: Group, other: Group) -> str:
    """The other's error minus this one's with its interval; parameters and costs where they differ."""
    found = _difference(group, other)
    if found.how == DIVERGED:
        return DIVERGED
    said = [str(found)]
    facts = {"parameters": "parameters", "multiply-adds": "multiply_adds"}
    costs = {name: (other.fact(key), group.fact(key)) for name, key in facts.items()}
    if group.depth == other.depth and any(ours != theirs for ours, theirs in costs.values()):
        costs["train seconds"] = (other.cost("train_seconds").mean, group.cost("train_seconds").mean)
        said += [f"{a / b:.2f} times the {name}" for name, (a, b) in costs.items() if b]
    return ", ".join(said)


def _meaning(found: dict[str, Difference]) -> str:
    """The conclusion on depth, for every outcome."""
    ways = {name: difference.way for name, difference in found.items()}
    unknown = next((each.how for each in found.values() if each.way == "unknown"), None)
    if unknown:
        return CANNOT_TELL[unknown]
    if ways.get("plain") != "higher":
        words = {"higher": "loses", "lower": "gains", "same": "shows neither gain nor loss"}
        said = " and ".join(f"the {name} net {words[way]}" for name, way in ways.items())
        return f"with depth {said}" + (", so no degradation shows here" if "plain" in ways else "")
    alone = "depth alone degrades the net"
    if "residual" not in ways:
        return alone
    less = found["residual"].high < found["plain"].low
    return {
        ("lower", True): f"{alone}, and shortcuts turn it into a gain",
        ("same", True): "depth degrades the net, and with shortcuts by less, if at all",
        (
            "same",
            False,
        ): "depth degrades the net; with shortcuts no loss shows, but one as large is not ruled out",
        ("higher", True): "depth degrades the net, and with shortcuts by less",
        ("higher", False): "depth degrades the net with and without shortcuts",
    }[ways["residual"], less]


def _error(group: Group) -> str:
    return f"{group.test} %" if group.test.n else "no error"


def _times(ratio: float) -> str:
    return f"{ratio:,.0f} times" if ratio >= 10 else f"{ratio:.1f} times"


def _name(group: Group, keys: Sequence[str]) -> str:
    words = [f"{key.split('.')[-1]} {choice}" for key in keys if (choice := shown(group.choices, key))]
    return ", ".join([group.net, *words])


def _caution(seeds: Sequence[int]) -> str:
    """How many seeds the sentence stands on."""
    few, many = min(seeds), max(seeds)
    n = f"{few} to {many}" if few < many else str(few)
    if few != FEW:
        return f" (n = {n})"
    return (
        f" (n = {n}: an interval of {FEW} seeds reaches up to {t_of(FEW - 1):.1f} standard errors to either side, of "
        f"{ENOUGH} seeds {t_of(ENOUGH - 1):.1f}, so only large effects show)"
    )
