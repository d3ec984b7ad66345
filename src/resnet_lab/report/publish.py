"""The command: one report for each sweep below a folder. Free of torch."""

import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from resnet_lab.errors import UserError, several, unknown
from resnet_lab.report.collect import Run, collect, to_stderr
from resnet_lab.report.compare import Group, summarise
from resnet_lab.report.conclude import conclude
from resnet_lab.report.draw import draw_curves
from resnet_lab.report.draw_depth import draw_depth
from resnet_lab.report.draw_layers import draw_gradients, draw_responses
from resnet_lab.report.draw_rates import draw_rates
from resnet_lab.report.paper import RULE, Beside, answered
from resnet_lab.report.runs_table import runs_csv
from resnet_lab.report.select import selected
from resnet_lab.report.style import WIDTHS, for_paper, save
from resnet_lab.report.table import group_csv, group_table, paper_csv, paper_table
from resnet_lab.report.tabular import Table

FIGURES = {
    "depth": draw_depth,
    "curves": draw_curves,
    "learning_rates": draw_rates,
    "layer_responses": draw_responses,
    "gradient_norms": draw_gradients,
}
PICTURES = ("png", "svg", "pdf")
STATISTICS = (
    "Errors in per cent at the last iteration: mean ± standard deviation (n - 1) over {n} seeds, each once."
)


@dataclass(frozen=True)
class Asked:
    """What a report is to be of, and what it writes."""

    where: Sequence[str] = ()  # conditions on runs, as model.depth=56
    out: Path | None = None  # None: beside the runs, unless only some of them are asked for
    pictures: Sequence[str] = ("png",)  # of PICTURES
    width: str | None = None  # of WIDTHS, for a paper; None: for a screen


def report(folders: Path | Sequence[Path], out: Path | None = None, asked: Asked | None = None) -> int:
    """Print the tables, the conclusion and the figures' paths of each sweep below a folder; return 0.

    A sweep is a folder of run folders. Its table.md, table.csv, table.tex, runs.csv, curves.png and what else its
    runs allow are written into it, or into `out`. Several folders are one comparison, written where they all lie.
    Raises UserError when there is no run.
    """
    asked = asked or Asked(out=out)
    for kind in asked.pictures:
        if kind not in PICTURES:
            raise unknown("--figures", kind, PICTURES)
    if asked.width is not None and asked.width not in WIDTHS:
        raise unknown("--width", asked.width, WIDTHS)
    roots = [folders] if isinstance(folders, Path) else list(folders)
    for target, runs in _sweeps(roots, asked).items():
        _publish(runs, None if asked.where and asked.out is None else target, asked)
    return 0


def gathered(
    folders: Sequence[Path], where: Sequence[str] = (), warn: Callable[[str], None] = to_stderr
) -> list[Run]:
    """The runs below all these folders for which the conditions hold; UserError where there is none."""
    found = []
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"{folder} is not a folder")
        runs = collect(folder, warn)
        if not runs:
            raise UserError(f"{folder} holds no run")
        found += runs
    return selected(list({run.path.resolve(): run for run in found}.values()), where)


def home(folders: Sequence[Path]) -> Path:
    """Where what is said of all these folders belongs: the folder around them."""
    return (
        folders[0] if len(folders) == 1 else Path(os.path.commonpath([path.absolute() for path in folders]))
    )


def _sweeps(folders: Sequence[Path], asked: Asked) -> dict[Path, list[Run]]:
    """Where a report goes -> its runs."""
    runs = gathered(folders, asked.where)
    if len(folders) > 1:
        return {asked.out or home(folders): runs}
    sweeps: dict[Path, list[Run]] = {}
    (folder,) = folders
    for run in runs:
        sweeps.setdefault(folder if run.path == folder else run.path.parent, []).append(run)
    if asked.out is None:
        return sweeps
    if len(sweeps) == 1:
        return {asked.out: runs}
    return {asked.out / home.relative_to(folder): members for home, members in sweeps.items()}


def _publish(runs: Sequence[Run], target: Path | None, asked: Asked) -> None:
    """Print one sweep's report and write its files."""
    groups = summarise(runs)
    answers, beside = answered(runs, groups)
    ours, theirs, conclusion = group_table(groups), paper_table(beside), conclude(groups, beside)
    title = title_of(runs)
    files: dict[str, str] = {}
    figures: list[Path] = []
    if target is not None:
        files = {"table.csv": group_csv(groups), "runs.csv": runs_csv(groups)}
        files["table.tex"] = ours.latex(f"{title}. {rule_of(groups)}")
        if beside:
            files["paper.csv"] = paper_csv(beside)
            files["table.tex"] += theirs.latex(f"Beside {answers}. {RULE}")
        paper = f"\n## Beside {answers}\n\n{theirs.markdown()}\n{RULE}\n{_sources(beside)}" if beside else ""
        try:
            target.mkdir(parents=True, exist_ok=True)
            with for_paper(asked.width):
                figures = _draw(groups, target, asked.pictures)
            shown = [path for path in figures if path.suffix == f".{asked.pictures[0]}"]
            said = "".join(f"\n![{path.stem}]({path.name})\n" for path in shown)
            files["table.md"] = f"# {title}\n\n{ours.markdown()}{paper}\n{conclusion}\n{said}"
            for name, text in files.items():
                (target / name).write_text(text, encoding="utf-8")
        except OSError as error:
            raise UserError(f"cannot write {error.filename or target}: {error.strerror}") from None
    print(title)
    print_table(ours)
    if beside:
        print(f"Beside {answers}")
        print_table(theirs)
        print(RULE)
    print(conclusion)
    for path in figures:
        print(path)
    if target is not None:
        for name in files:
            print(target / name)


def _draw(groups: Sequence[Group], target: Path, pictures: Sequence[str]) -> list[Path]:
    found = []
    for name, draw in FIGURES.items():
        if figure := draw(groups):
            found += [save(figure, target / f"{name}.{kind}") for kind in pictures]
    return found


def title_of(runs: Sequence[Run]) -> str:
    """As in ``quickstart: 8 runs, 6 finished, 2 running``."""
    states = Counter(run.state for run in runs)
    said = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    names = ", ".join(dict.fromkeys(str(run.choices["name"]) for run in runs))
    return f"{names}: {several(len(runs), 'run')}, {said}"


def rule_of(groups: Sequence[Group] = ()) -> str:
    """What the figures are, with the number of seeds where all these groups have as many."""
    counts = {group.n for group in groups}
    return STATISTICS.format(n=f"n = {max(counts)}" if len(counts) == 1 and max(counts) > 1 else "n")


def _sources(beside: Sequence[Beside]) -> str:
    """Who reached the figures of the column `others`, and how they were picked."""
    lines = [
        f"- {figure.label}: {row['error']:.2f} {', '.join(filter(None, (row['statistic'], row['note'])))}"
        f" ({row['source']})\n"
        for figure in dict.fromkeys(each.figure for each in beside)
        for row in figure.others()
    ]
    return "\nOthers:\n\n" + "".join(lines) if lines else ""


def print_table(table: Table) -> None:
    """Drawn on a terminal, Markdown elsewhere."""
    if sys.stdout.isatty():
        from rich.console import Console

        Console().print(table.rich())
    else:
        print(f"\n{table.markdown()}")
