"""The command: one report for each sweep below a folder. Free of torch."""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from resnet_lab.errors import UserError
from resnet_lab.report.collect import Run, collect
from resnet_lab.report.compare import summarise
from resnet_lab.report.conclude import conclude
from resnet_lab.report.draw import draw_curves
from resnet_lab.report.draw_layers import draw_gradients, draw_responses
from resnet_lab.report.draw_rates import draw_rates
from resnet_lab.report.paper import RULE, Beside, beside_the_paper
from resnet_lab.report.style import save
from resnet_lab.report.table import Table, group_csv, group_table, paper_csv, paper_table

FIGURES = {
    "curves.png": draw_curves,
    "learning_rates.png": draw_rates,
    "layer_responses.png": draw_responses,
    "gradient_norms.png": draw_gradients,
}


def report(folder: Path, out: Path | None = None) -> int:
    """Print the tables, the conclusion and the figures' paths of each sweep below a folder; return 0.

    A sweep is a folder of run folders. Its table.md, table.csv, curves.png and what else its runs allow are
    written into it, or into `out`. Raises UserError when there is no run.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder")
    sweeps: dict[Path, list[Run]] = {}
    for run in collect(folder):
        sweeps.setdefault(folder if run.path == folder else run.path.parent, []).append(run)
    if not sweeps:
        raise UserError(f"{folder} holds no run")
    for place, runs in sweeps.items():
        target = place if out is None else out / place.relative_to(folder) if len(sweeps) > 1 else out
        _publish(runs, target)
    return 0


def _publish(runs: Sequence[Run], target: Path) -> None:
    """Print one sweep's report and write its files."""
    groups = summarise(runs)
    answers = next((run.answers for run in runs if run.answers), None)
    beside = beside_the_paper(groups, answers) if answers else []
    ours, theirs, conclusion = group_table(groups), paper_table(beside), conclude(groups, beside)
    title = _title(runs)
    try:
        target.mkdir(parents=True, exist_ok=True)
        figures = [save(figure, target / name) for name, draw in FIGURES.items() if (figure := draw(groups))]
        files = {"table.csv": group_csv(groups)}
        if beside:
            files["paper.csv"] = paper_csv(beside)
        paper = f"\n## Beside {answers}\n\n{theirs.markdown()}\n{RULE}\n{_sources(beside)}" if beside else ""
        pictures = "".join(f"\n![{path.stem}]({path.name})\n" for path in figures)
        files["table.md"] = f"# {title}\n\n{ours.markdown()}{paper}\n{conclusion}\n{pictures}"
        for name, text in files.items():
            (target / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {error.filename or target}: {error.strerror}") from None
    print(title)
    _print(ours)
    if beside:
        print(f"Beside {answers}")
        _print(theirs)
        print(RULE)
    print(conclusion)
    for path in [*figures, *(target / name for name in files)]:
        print(path)


def _title(runs: Sequence[Run]) -> str:
    """As in ``quickstart: 8 runs, 6 finished, 2 running``."""
    states = Counter(run.state for run in runs)
    said = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    names = ", ".join(dict.fromkeys(str(run.choices["name"]) for run in runs))
    return f"{names}: {len(runs)} {'run' if len(runs) == 1 else 'runs'}, {said}"


def _sources(beside: Sequence[Beside]) -> str:
    """Who reached the figures of the column `others`, and how they were picked."""
    lines = [
        f"- {figure.label}: {row['error']:.2f} {', '.join(filter(None, (row['statistic'], row['note'])))}"
        f" ({row['source']})\n"
        for figure in dict.fromkeys(each.figure for each in beside)
        for row in figure.others()
    ]
    return "\nOthers:\n\n" + "".join(lines) if lines else ""


def _print(table: Table) -> None:
    if sys.stdout.isatty():
        from rich.console import Console

        Console().print(table.rich())
    else:
        print(f"\n{table.markdown()}")
