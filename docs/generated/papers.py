"""papers/: a page for each experiment, from its file, the papers' figures, what others reached, and results/."""

import re
from dataclasses import dataclass

from resnet_lab import reference
from resnet_lab.config.groups import config_dir, groups
from resnet_lab.reference import Row
from resnet_lab.report import collect, summarise
from resnet_lab.report.paper import RULE, Figure, figures
from resnet_lab.report.spread import difference
from resnet_lab.report.table import Table

RESULTS = config_dir().parent / "results"
PAPERS = {
    "he2015": "Deep Residual Learning for Image Recognition (arXiv 1512.03385)",
    "he2016": "Identity Mappings in Deep Residual Networks (arXiv 1603.05027)",
    "claims": "Common claims about residual networks, tested on the digits in minutes",
    "modern": "Later recipes for the same networks",
    "": "Others",
}
INDEX = f"""# The papers

Every table and figure is one command, `resnet-lab train -m experiment=NAME`, and has a page here. `resnet-lab plan -m
experiment=NAME` estimates the cost on your machine, `debug=true` runs the same code on a few images, and
`resnet-lab report runs/NAME` sets the paper's figures beside yours, with a verdict by one rule:

> {RULE}

## What has been reproduced here

Nobody has trained a table at full length for this repository, because that takes a GPU. The question of He et al.
(2015), Figure 6, was trained on two CPU cores at smaller scales: by how many percentage points do 36 more layers change
the test error of plain and of residual networks? Intervals are 95 %; one that includes 0 cannot tell.

{{scales}}

75 published counts of parameters and operations match exactly. One command trains the figure in full:
`resnet-lab train -m experiment=he2015/fig6 data.root=/path/to/cifar`.

"""
SCALES = {
    "claims/depth": "handwritten digits, 8x8",
    "miniature": "Fashion-MNIST, 8x8",
    "cifar10_jpeg": "JPEG copies of CIFAR-10, 32x32",
}


def scales() -> str:
    """Return a table of what has been trained of Figure 6, worked out from the records in results/."""
    rows = []
    for name, images in SCALES.items():
        groups = {
            (group.choices["model.shortcut"], group.depth): group
            for group in summarise(collect(RESULTS / name))
        }
        plain, residual = (
            difference(groups[shortcut, 56].test, groups[shortcut, 20].test) for shortcut in ("none", "A")
        )
        group = groups["A", 56]
        iterations = int(group.finished[0].history["iteration"][-1])
        rows.append(
            f"| [{name}]({name}.md) | {images} | {iterations:,} | {group.n} | {plain.mean:+.2f} ({plain.interval}) "
            f"| {residual.mean:+.2f} ({residual.interval}) |"
        )
    head = ["| experiment | images | iterations | seeds | plain networks | residual networks |"]
    return "\n".join([*head, "|---|---|--:|--:|---|---|", *rows])


@dataclass(frozen=True)
class Experiment:
    """What the file of an experiment says of itself."""

    name: str
    text: str
    commands: tuple[str, ...]
    question: str
    about: str  # the rest of its head
    cost: str

    @classmethod
    def read(cls, name: str) -> "Experiment":
        text = (config_dir() / "experiment" / f"{name}.yaml").read_text(encoding="utf-8")
        head = [line[1:].strip() for line in text.split("\ndefaults:")[0].splitlines()]
        commands = tuple(line for line in head if line.startswith("resnet-lab "))
        said = " ".join(line for line in head if not line.startswith(("@package", "resnet-lab "))).strip()
        said, _, cost = said.partition("Cost: ")
        end = re.search(r"\?|\.(?= |$)", said)
        cut = end.end() if end else len(said)
        return cls(name, text, commands, said[:cut], said[cut:].strip(), cost.rstrip(".") or _time(said))


def pages() -> dict[str, str]:
    found = [Experiment.read(name) for name in groups()["experiment"]]
    made = {f"papers/{each.name}.md": _page(each) for each in found}
    parts = [INDEX.format(scales=scales())]
    for room, title in PAPERS.items():
        rows = [
            f"| [{each.name}]({each.name}.md) | {each.question} | {each.cost} | {_known(each.name)} |"
            for each in found
            if each.name.rpartition("/")[0] == room
        ]
        parts += [
            f"## {title}",
            "",
            "| experiment | question | cost | what is known |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    return {"papers/index.md": "\n".join(parts), **made}


def _page(each: Experiment) -> str:
    parts = [
        f"# {each.name}",
        "",
        f"**{each.question}** {each.about}",
        "",
        "```sh",
        *each.commands,
        "```",
        "",
    ]
    if each.cost:
        parts += [f"**Cost**: {each.cost}", ""]
    parts += [_papers_figures(each.name), _ours(each.name)]
    parts += [f'??? note "configs/experiment/{each.name}.yaml"', "", "    ```yaml"]
    parts += [f"    {line}".rstrip() for line in each.text.splitlines()]
    return "\n".join([*parts, "    ```", ""])


def _papers_figures(name: str) -> str:
    if name not in reference.names():
        return ""
    found = figures(name)
    if not found:
        rows = reference.table(name)
        table = Table(tuple(rows[0]), tuple(tuple(map(_cell, row.values())) for row in rows[:12]))
        more = (
            f"\n{len(rows)} rows in all: `resnet_lab.reference.table({name!r})`.\n" if len(rows) > 12 else ""
        )
        return f"## Figures of the paper\n\n{table.markdown()}{more}"
    rows = tuple((each.label, str(each), _others(each)) for each in found)
    table = Table(("run", "the paper (error, %)", "others reached"), rows)
    return f"## What is known\n\n{table.markdown()}"


def _others(figure: Figure) -> str:
    """What each source reached: one figure, or the range of its several."""
    sources: dict[str, list[Row]] = {}
    for row in figure.others():
        sources.setdefault(row["source"].partition(":")[0], []).append(row)
    return "; ".join(f"{_range(rows)} ({source}{_how(rows)})" for source, rows in sources.items())


def _range(rows: list[Row]) -> str:
    errors = sorted(row["error"] for row in rows)
    if len(errors) > 1:
        return f"{errors[0]:.2f} to {errors[-1]:.2f}"
    std = rows[0]["std"]
    return f"{errors[0]:.2f}" + ("" if std is None else f" ± {std:.2f}")


def _how(rows: list[Row]) -> str:
    picked = {row["statistic"] for row in rows} - {None}
    runs = len(rows) if len(rows) > 1 else rows[0]["n"]
    many = [f"{runs} runs"] if isinstance(runs, int) and runs > 1 else []
    return "".join(f", {each}" for each in [*many, *sorted(picked)])


def _cell(value: object) -> str:
    return "" if value is None else str(value)


def _ours(name: str) -> str:
    """The table, conclusion and figures that are committed in results/."""
    table = RESULTS / name / "table.md"
    if not table.is_file():
        return "## Results here\n\nThis experiment has not been run yet: `results/` has no record of it.\n"
    up = "../" * (name.count("/") + 1)
    text = table.read_text(encoding="utf-8").partition("\n")[2].strip()
    text = re.sub(r"\]\((?=[\w-]+\.png\))", f"]({up}results/{name}/", text)
    return f"## Ours\n\nThe records lie in `results/{name}`.\n\n{text}\n"


def _known(name: str) -> str:
    """The paper's figures in a few words, and whether there are some of ours."""
    found = figures(name) if name in reference.names() else []
    numbers = [each.compared for each in found if isinstance(each.printed, float)]
    ends = dict.fromkeys(f"{end(numbers):.2f}" for end in (min, max)) if numbers else {}
    paper = [f"paper: {' to '.join(ends)} %"] if ends else []
    ours = ["measured here"] if (RESULTS / name / "table.md").is_file() else []
    return "; ".join([*paper, *ours]) or "–"


def _time(said: str) -> str:
    """The sentence that tells how many runs there are and how long they take."""
    found = re.search(r"[^.:?]*\bruns?\b[^.?]*(about [\w ]+(hours?|minutes?))[^.]*", said)
    return found[0].strip(") ") if found else ""
