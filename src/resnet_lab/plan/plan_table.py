"""What a sweep will cost, before it costs anything: runs, operations, memory and hours. Trains nothing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from rich.console import Console
from rich.table import Table

from resnet_lab.config.identity import identity_part, path_of
from resnet_lab.config.request import Request
from resnet_lab.config.schema import TrainConfig
from resnet_lab.cores import cores
from resnet_lab.errors import UserError, several, unknown
from resnet_lab.plan.cache import Kept, file
from resnet_lab.plan.estimate import GPU_PEAKS, LAUNCH, TIMED, Estimate, estimate, faster, here, on_gpu
from resnet_lab.runs.devices import gpus_possible
from resnet_lab.runs.folder import RunFolder, threads_of
from resnet_lab.runs.history import latest, read_or_empty
from resnet_lab.terminal import fitted, lines_console, said

WORTH = 1.1  # times as fast, from which it is worth a word
RUNS_PER_GPU = (2, 4)  # that are measured beside each other


@dataclass(frozen=True)
class PlannedRuns:
    """Runs that differ only in their seed, and what each of them costs."""

    configs: tuple[TrainConfig, ...]
    cost: Estimate

    @cached_property
    def states(self) -> list[str]:
        return [RunFolder(path_of(config)).state() for config in self.configs]

    @cached_property
    def seconds_left(self) -> float:
        """Return the time left for all of its runs; what interrupted ones have done is subtracted."""
        files = (RunFolder(path_of(config)).history_file for config in self.configs)
        done = (latest(read_or_empty(file), "iteration") or 0.0 for file in files)
        return sum(self.cost.seconds * max(0.0, 1 - each / self.cost.iterations) for each in done)


def plan(
    overrides: list[str], *, multirun: bool, gpu: str | None, efficiency: float, measure: bool = False
) -> int:
    """Print a sweep's runs with their cost and what is already finished; 0 always.

    `gpu` names a row of GPU_PEAKS, of which `efficiency` is reached; without it, a few steps of each distinct kind of
    net are timed on this machine, and kept; `measure`: what would be faster here, too. Raises UserError for an unknown
    GPU or a mistake in the overrides.
    """
    if gpu is not None and gpu.lower() not in GPU_PEAKS:
        raise unknown("--gpu", gpu, GPU_PEAKS)
    if not 0 < efficiency <= 1:
        raise UserError(f"--efficiency {efficiency}: a share of the peak is needed, above 0 and at most 1")
    console = lines_console()
    with console.status("composing the runs …") as status:
        configs = list(Request(overrides, multirun=multirun).runs(planned=True).values())
        kept = Kept()
        clock = here(kept) if gpu is None else on_gpu(gpu.lower(), efficiency)
        costs: dict[str, Estimate] = {}
        lines = []
        for alike in _but_for_the_seed(configs):
            first = alike[0]
            status.update(f"estimating {first.model.label} …")
            key = repr((first.model, first.recipe, first.data, first.precision))
            if key not in costs:
                costs[key] = estimate(first, clock, kept, LAUNCH if gpu else 0.0)
            lines.append(PlannedRuns(tuple(alike), costs[key]))
        most = max(lines, key=lambda line: line.seconds_left)
        status.update("measuring what would be faster …")
        ways: Mapping[str, float] = {}
        if gpu is None:
            at_once = RUNS_PER_GPU if _gpus() else ()
            ways = faster(most.configs[0], kept, measure=measure, at_once=at_once)
    table, dropped = _table(lines, console)
    console.print(table)
    if dropped:
        console.print(f"a wider terminal shows {', '.join(dropped)} as well", highlight=False)
    finished = sum(line.states.count("finished") for line in lines)
    places, where = (1, f"one {gpu} at {efficiency:.0%} of its peak") if gpu else _here(configs)
    rest = said(sum(line.seconds_left for line in lines) / min(places, len(configs)))
    console.print(
        f"{several(len(configs), 'run')}, {finished} finished; to do: {rest} on {where}", highlight=False
    )
    for line in _notes(kept, ways, measure) if gpu is None else []:
        console.print(line, highlight=False)
    return 0


def _notes(kept: Kept, ways: Mapping[str, float], measure: bool) -> Iterator[str]:
    """Yield where the seconds come from, and what would be faster here."""
    when = "now" if TIMED in kept.anew else "before"
    yield f"seconds of a step: timed {when} ({file()}), other depths by their multiply-adds"
    better = {words: times for words, times in ways.items() if times > WORTH}
    for words, times in sorted((better or ways).items(), key=lambda item: -item[1]):
        yield f"{'faster' if better else 'no faster'} here: {words}, {times:.1f} times as fast, measured"
    if not measure and not ways:
        yield "what would be faster here: --faster measures it, a minute or two, once"


def _but_for_the_seed(configs: Sequence[TrainConfig]) -> list[list[TrainConfig]]:
    lines: dict[str, list[TrainConfig]] = {}
    for config in configs:
        shared = {key: value for key, value in identity_part(config).items() if key != "seed"}
        lines.setdefault(repr(shared), []).append(config)
    return list(lines.values())


def _here(configs: Sequence[TrainConfig]) -> tuple[int, str]:
    """Return how many runs this machine trains at a time, as `hydra/launcher=local` does, and in words."""
    if gpus := _gpus():
        return gpus, f"this machine, one run at a time on each of {gpus} GPUs"
    threads = max(map(threads_of, configs))
    at_once = max(1, cores() // threads)
    return at_once, f"this machine, {several(at_once, 'run')} at a time with {several(threads, 'core')} each"


def _gpus() -> int:
    if not gpus_possible():  # then torch need not be loaded
        return 0
    import torch

    return torch.cuda.device_count()


def _table(lines: Sequence[PlannedRuns], console: Console) -> tuple[Table, list[str]]:
    keys = _told_apart_by(lines)
    names = [key.removesuffix(".name").rpartition(".")[2] for key in keys]
    rows = []
    for line in lines:
        config, cost, choices = line.configs[0], line.cost, identity_part(line.configs[0])
        rows.append(
            {"run": config.model.label}
            | {name: str(choices.get(key, "")) for name, key in zip(names, keys, strict=True)}
            | {
                "data": config.data.name,
                "seeds": " ".join(str(each.seed) for each in line.configs),
                "state": ", ".join(
                    f"{line.states.count(state)} {state}" for state in dict.fromkeys(line.states)
                ),
                "parameters": f"{cost.parameters:,}",
                "multiply-adds": f"{cost.multiply_adds / 1e6:,.1f} M",
                "memory": f"{cost.memory_bytes / 2**30:.1f} GiB",
                "iterations": f"{cost.iterations:,}",
                "each run": said(cost.seconds),
                "to do": said(line.seconds_left),
            }
        )
    spare = ("multiply-adds", "data", "parameters", "iterations", "memory", "state")
    return fitted(rows, console, words=("run", *names, "data", "seeds", "state"), spare=spare)


def _told_apart_by(lines: Sequence[PlannedRuns]) -> list[str]:
    """Return the keys, beside net and data, in which lines differ; a recipe's name stands for its keys."""
    choices: list[dict[str, object]] = [identity_part(line.configs[0]) for line in lines]
    names = {each["recipe.name"] for each in choices}
    return [
        key
        for key in choices[0]
        if not key.startswith(("model.", "sources."))
        and key not in ("data.name", "seed")
        and len({repr(each.get(key)) for each in choices}) > 1
        and (len(names) == 1 or not key.startswith("recipe.") or key == "recipe.name")
    ]
