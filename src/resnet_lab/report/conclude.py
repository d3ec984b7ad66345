"""One sentence a question, drawn from the measured numbers whatever they are. Free of torch."""

from collections import Counter
from collections.abc import Sequence

from resnet_lab.report.compare import FAIL_ABOVE, Group, told_apart_by
from resnet_lab.report.draw_layers import measured
from resnet_lab.report.draw_rates import RATE, rate_series
from resnet_lab.report.paper import Beside
from resnet_lab.report.spread import direction, standard_error

FEW = 3  # seeds below which the spread itself is a guess
PLURAL = {"agrees": "agree"}
WITHIN = {"same": "within two standard errors", "unknown": "one seed has no spread"}


def conclude(groups: Sequence[Group], beside: Sequence[Beside] = ()) -> str:
    """What the runs say so far, in one sentence for each question that they can answer."""
    if not any(group.n or group.diverged for group in groups):
        return "No run has finished, so there is nothing to conclude yet."
    told = [against_the_paper(beside), with_depth(groups), learning_rates(groups), gradients(groups)]
    return " ".join(sentence for sentence in told if sentence) or among_choices(groups)


def with_depth(groups: Sequence[Group]) -> str:
    """What more depth does to plain and to residual nets: the degradation problem, he2015 Section 1."""
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
        ways[names[kind]] = _way(shallow, deep)
        said.append(
            f"{names[kind] if alone else kind} nets go from {_error(shallow)} at {shallow.depth} layers to "
            f"{_error(deep)} at {deep.depth} ({_against(shallow, deep)})"
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
        rates = [group.choices[RATE] for group in members if group.n and not group.fails]
        span = f" ({min(rates):g} to {max(rates):g}, {_times(max(rates) / min(rates))})" if rates else ""
        said.append(f"{name}: {len(rates)} of {len(members)}{span}")
    limit = f"to a test error of at most {FAIL_ABOVE:.0f} %"
    return f"Learning rates that train {limit}, {'; '.join(said)}." if said else ""


def gradients(groups: Sequence[Group]) -> str:
    """How far apart the gradients of a net's layers lie early in training."""
    said = []
    for group in groups:
        norms = measured(group, "gradient_norms", last=False).values()
        if norms and min(norms) > 0:
            said.append(f"{group.kind}, {group.depth} layers: {_times(max(norms) / min(norms))}")
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
    said = [f"{_name(group, keys)} has {_error(group)} ({_against(best, group)})" for group in others]
    lowest = f"The lowest test error is {_error(best)}, of {_name(best, keys)}"
    return f"{'; '.join([lowest, *said])}{_caution([group.n for group in ended])}."


def _by_depth(groups: Sequence[Group]) -> dict[str, dict[int, Group]]:
    """The nets of each kind of unit that was tried at several depths; empty where depth is not all that differs."""
    kinds: dict[str, dict[int, Group]] = {}
    for group in groups:
        if group.n or group.diverged:
            if group.depth in kinds.setdefault(group.kind, {}):
                return {}
            kinds[group.kind][group.depth] = group
    return {kind: nets for kind, nets in kinds.items() if len(nets) > 1}


def _way(group: Group, other: Group) -> str:
    """Where the other's test error lies: higher, lower, same (within two standard errors) or unknown."""
    ours, theirs = other.test, group.test
    if not (ours.n and theirs.n):  # the loss diverged
        return "unknown" if ours.n == theirs.n else "lower" if ours.n else "higher"
    error = standard_error(theirs.std, theirs.n, ours.std, ours.n)
    return direction(ours.mean - theirs.mean, error)


def _against(group: Group, other: Group) -> str:
    """The other's error minus this one's and what that means; parameters and costs where they differ."""
    way = WITHIN.get(_way(group, other), "beyond two standard errors")
    if not (group.test.n and other.test.n):
        return "the loss diverges"
    said = [f"{other.test.mean - group.test.mean:+.2f}", way]
    facts = {"parameters": "parameters", "multiply-adds": "multiply_adds"}
    costs = {name: (other.fact(key), group.fact(key)) for name, key in facts.items()}
    if group.depth == other.depth and any(ours != theirs for ours, theirs in costs.values()):
        costs["train seconds"] = (other.cost("train_seconds").mean, group.cost("train_seconds").mean)
        said += [f"{a / b:.2f} times the {name}" for name, (a, b) in costs.items() if b]
    return ", ".join(said)


def _meaning(ways: dict[str, str]) -> str:
    """The conclusion on depth, for every outcome."""
    if "unknown" in ways.values():
        return "one seed a net cannot tell an effect from chance"
    if ways.get("plain") == "higher":
        residual = {
            "lower": "depth alone degrades the net, and shortcuts turn it into a gain",
            "same": "depth alone degrades the net, and shortcuts prevent that",
            "higher": "depth degrades the net with and without shortcuts",
        }
        return residual.get(ways.get("residual", ""), "depth alone degrades the net")
    words = {"higher": "loses", "lower": "gains", "same": "neither gains nor loses beyond the seeds' spread"}
    said = " and ".join(f"the {name} net {words[way]}" for name, way in ways.items())
    return f"with depth {said}" + (", so no degradation shows here" if ways.get("plain") else "")


def _error(group: Group) -> str:
    return f"{group.test} %" if group.test.n else "no error"


def _times(ratio: float) -> str:
    return f"{ratio:,.0f} times" if ratio >= 10 else f"{ratio:.1f} times"


def _name(group: Group, keys: Sequence[str]) -> str:
    words = [f"{key.split('.')[-1]} {group.choices.get(key)}" for key in keys]
    return ", ".join([f"{group.kind}, {group.depth} layers", *words])


def _caution(seeds: Sequence[int]) -> str:
    """How many seeds the sentence stands on."""
    few, many = min(seeds), max(seeds)
    n = f"{few} to {many}" if few < many else str(few)
    return f" (n = {n}{'; so few that the spread itself is a guess' if 1 < few < FEW else ''})"
