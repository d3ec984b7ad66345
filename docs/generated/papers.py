"""papers/: a page for each experiment, from its file, the papers' figures, what others reached, and results/."""

import re
from dataclasses import dataclass

from resnet_lab import reference
from resnet_lab.config.groups import config_dir, groups
from resnet_lab.reference.tables import Row
from resnet_lab.report.paper import RULE, Figure, figures
from resnet_lab.report.table import Table

RESULTS = config_dir().parent / "results"
PAPERS = {
    "he2015": "Deep Residual Learning for Image Recognition (arXiv 1512.03385)",
    "he2016": "Identity Mappings in Deep Residual Networks (arXiv 1603.05027)",
    "claims": "What is often said of residual nets, asked on the digits, in minutes",
    "modern": "Later recipes on the same nets",
    "": "Others",
}
INDEX = f"""# The papers

Each table and figure is one command, `resnet-lab train -m experiment=NAME`, and one page here. `resnet-lab plan -m
experiment=NAME` says what it costs on this machine, `debug=true` runs the same code on a few images, and
`resnet-lab report runs/NAME` sets the paper's figures beside yours with a verdict by one rule:

> {RULE}
"""


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
    parts = [INDEX]
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
        return f"## What the paper has\n\n{table.markdown()}{more}"
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
        return "## Ours\n\nNot run yet: no record of it lies in `results/`.\n"
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
