"""Write one report for each sweep below a folder: the command `report`. Free of torch."""

import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from resnet_lab.columns import COLUMNS, word
from resnet_lab.errors import UserError, several, unknown
from resnet_lab.report.against import shared_variance
from resnet_lab.report.collect import FoundRun, collect, to_stderr
from resnet_lab.report.compare import Group, summarise
from resnet_lab.report.conclude import conclude
from resnet_lab.report.draw import draw_curves
from resnet_lab.report.draw_depth import draw_depth, draw_rates
from resnet_lab.report.draw_layers import draw_gradients, draw_responses
from resnet_lab.report.effects import effects_table
from resnet_lab.report.paper import RULE, Beside, answered
from resnet_lab.report.select import parted, selected, slug
from resnet_lab.report.spread import SMALL
from resnet_lab.report.style import WIDTHS, for_paper, save
from resnet_lab.report.table import group_figures, group_table, paper_csv, paper_table, run_figures, unshown
from resnet_lab.report.tabular import Figures, Table, as_csv

FIGURES = {
    "depth": draw_depth,
    "curves": draw_curves,
    "learning_rates": draw_rates,
    "layer_responses": draw_responses,
    "gradient_norms": draw_gradients,
}
TEX_NEEDS = "% \\usepackage{booktabs,graphicx,siunitx}\n"
PICTURES = ("png", "svg", "pdf")
STATISTICS = (
    "Errors in per cent at the last iteration: mean ± standard deviation (n - 1) over {n} seeds, each once; "
    "the interval is that of the mean, by Student's t{how}."
)
EFFECTS = "What each choice changes while all others are equal, paired over settings and seeds"
APART = "Runs on other data, under another protocol or with another objective are never compared: each part is apart."


@dataclass(frozen=True)
class Asked:
    """Which runs a report is about, and what it writes."""

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
    if wrong := [kind for kind in asked.pictures if kind not in PICTURES]:
        raise unknown("--figures", wrong[0], PICTURES)
    if asked.width is not None and asked.width not in WIDTHS:
        raise unknown("--width", asked.width, WIDTHS)
    roots = [folders] if isinstance(folders, Path) else list(folders)
    for target, runs in _sweeps(roots, asked).items():
        _publish(runs, None if asked.where and asked.out is None else target, asked)
    return 0


def gathered(
    folders: Sequence[Path], where: Sequence[str] = (), warn: Callable[[str], None] = to_stderr
) -> list[FoundRun]:
    """Return the runs below all these folders for which the conditions hold; UserError where there is none."""
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
    """Return the folder around these folders, where what is said of all of them belongs."""
    first, *others = folders
    return Path(os.path.commonpath([each.absolute() for each in folders])) if others else first


def _sweeps(folders: Sequence[Path], asked: Asked) -> dict[Path, list[FoundRun]]:
    """Return the runs of each report by the folder where it goes."""
    runs = gathered(folders, asked.where)
    if len(folders) > 1:
        return {asked.out or home(folders): runs}
    sweeps: dict[Path, list[FoundRun]] = {}
    (folder,) = folders
    for run in runs:
        sweeps.setdefault(folder if run.path == folder else run.path.parent, []).append(run)
    if asked.out is None:
        return sweeps
    if len(sweeps) == 1:
        return {asked.out: runs}
    return {asked.out / home.relative_to(folder): members for home, members in sweeps.items()}


@dataclass(frozen=True)
class Part:
    """Runs that can be compared, and what a report says of them."""

    name: str  # empty where all runs can be compared
    runs: Sequence[FoundRun]

    @cached_property
    def groups(self) -> list[Group]:
        return summarise(self.runs)

    @cached_property
    def answered(self) -> tuple[str | None, list[Beside]]:
        return answered(self.runs, self.groups)

    @cached_property
    def conclusion(self) -> str:
        return conclude(self.groups, self.answered[1])

    @property
    def title(self) -> str:
        return f"{self.name}: {title_of(self.runs)}" if self.name else title_of(self.runs)

    @cached_property
    def table(self) -> Table:
        return group_table(self.groups)

    def latex(self) -> str:
        answers, beside = self.answered
        label = slug(" ".join([*dict.fromkeys(str(run.choices["name"]) for run in self.runs), self.name]))
        remarks = "; ".join(dict.fromkeys(filter(None, (group.remarks for group in self.groups))))
        note = [rule_of(self.groups), note_of(self.groups), f"Remarks: {remarks}." if remarks else ""]
        # No times, which a paper has no use for, so that what is left can be read.
        times = [column.title for column in COLUMNS.values() if column.part == "cost"]
        table = self.table.without(["remarks", *times])
        text = table.latex(f"{self.title}.", label, " ".join(filter(None, note)))
        if beside:
            text += paper_table(beside).latex(f"Beside {answers}.", f"{label}-paper", RULE)
        return text

    def markdown(self, figures: Sequence[Path]) -> str:
        """Return the finding, the table and the figures."""
        body = self._body("### " if self.name else "## ")
        lines = [each.markdown().strip() if isinstance(each, Table) else each for each in body]
        pictures = [f"![{path.stem}]({path.name})" for path in figures]
        return (
            "\n\n".join(filter(None, [self.conclusion, *lines, _sources(self.answered[1]), *pictures])) + "\n"
        )

    def print(self) -> None:
        for each in (self.title, *self._body(), self.conclusion):
            if isinstance(each, Table):
                print_table(each)
            else:
                print(each)

    def _body(self, head: str = "") -> list[str | Table]:
        answers, beside = self.answered
        body: list[str | Table] = [self.table, note_of(self.groups)]
        if effects := effects_table(self.groups):
            body += [f"{EFFECTS}:", effects]
        if beside:
            body += [f"{head}Beside {answers}", paper_table(beside), RULE]
        return [each for each in body if each]


def parts_of(runs: Sequence[FoundRun]) -> list[Part]:
    """Divide the runs into parts that can be compared."""
    return [Part(name, members) for name, members in parted(runs).items()]


def _publish(runs: Sequence[FoundRun], target: Path | None, asked: Asked) -> None:
    """Print one sweep's report and write its files."""
    parts = parts_of(runs)
    written = [] if target is None else _write(runs, parts, target, asked)
    if len(parts) > 1:
        print(f"{title_of(runs)}\n{APART}\n")
    for part in parts:
        part.print()
        if len(parts) > 1:
            print()
    for path in written:
        print(path)


def _write(runs: Sequence[FoundRun], parts: Sequence[Part], target: Path, asked: Asked) -> list[Path]:
    """Write the files of a report, the figures first, and return their paths."""
    files = {
        "table.csv": as_csv(by_part({part.name: group_figures(part.groups) for part in parts})),
        "runs.csv": as_csv(by_part({part.name: run_figures(part.groups) for part in parts})),
        "table.tex": TEX_NEEDS + "".join(part.latex() for part in parts),
    }
    if beside := [each for part in parts for each in part.answered[1]]:
        files["paper.csv"] = paper_csv(beside)
    lines = [f"# {title_of(runs)}\n", *([f"{APART}\n"] if len(parts) > 1 else [])]
    figures = []
    try:
        target.mkdir(parents=True, exist_ok=True)
        for part in parts:
            drawn = []
            for name, draw in FIGURES.items():
                with for_paper(asked.width):
                    figure = draw(part.groups)
                if figure:
                    stem = f"{name}-{slug(part.name)}" if part.name else name
                    drawn += [save(figure, target / f"{stem}.{kind}") for kind in asked.pictures]
            shown = [path for path in drawn if path.suffix == f".{asked.pictures[0]}"]
            lines += [f"## {part.title}\n"] * bool(part.name) + [part.markdown(shown)]
            figures += drawn
        files["table.md"] = "\n".join(lines)
        for name, text in files.items():
            (target / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {error.filename or target}: {error.strerror}") from None
    return [*figures, *(target / name for name in files)]


def by_part(figures: Mapping[str, Sequence[Figures]]) -> list[Figures]:
    """Return the lines of all parts in one table, with a column for the part where there are several."""
    names = dict.fromkeys(name for lines in figures.values() for line in lines for name in line)
    return [
        {**({"part": part} if part else {}), **{name: line.get(name) for name in names}}
        for part, lines in figures.items()
        for line in lines
    ]


def title_of(runs: Sequence[FoundRun]) -> str:
    """Return a title such as ``quickstart: 8 runs, 6 finished, 2 running``."""
    states = Counter(run.state for run in runs)
    said = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    names = ", ".join(dict.fromkeys(str(run.choices["name"]) for run in runs))
    return f"{names}: {several(len(runs), 'run')}, {said}"


def rule_of(groups: Sequence[Group] = ()) -> str:
    """Say what the figures are, with the number of seeds where all these groups have as many."""
    counts = {group.n for group in groups}
    shared = shared_variance(groups) if min(counts, default=0) <= SMALL else None
    how = f", with the {shared} where n is {SMALL}" if shared else ""
    return STATISTICS.format(n=f"n = {max(counts)}" if len(counts) == 1 and max(counts) > 1 else "n", how=how)


def note_of(groups: Sequence[Group]) -> str:
    """Say what all rows share, and name the choices for which the table has no column."""
    same = f"All: {groups[0].net}." if len({group.net for group in groups}) == 1 < len(groups) else ""
    left = ", ".join(map(word, unshown(groups)))
    return f"{same} {f'Also differs, in runs.csv: {left}.' if left else ''}".strip()


def _sources(beside: Sequence[Beside]) -> str:
    """Say who reached the figures of the column `others`, and how they were picked."""
    lines = [
        f"- {figure.label}: {row['error']:.2f} {', '.join(filter(None, (row['statistic'], row['note'])))}"
        f" ({row['source']})\n"
        for figure in dict.fromkeys(each.figure for each in beside)
        for row in figure.others()
    ]
    return ("Others:\n\n" + "".join(lines)).strip() if lines else ""


def print_table(table: Table) -> None:
    """Draw the table on a terminal, or print it as Markdown elsewhere."""
    if sys.stdout.isatty():
        from rich.console import Console

        Console().print(table.rich())
    else:
        print(f"\n{table.markdown()}")
