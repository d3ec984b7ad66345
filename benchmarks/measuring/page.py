"""The tables of docs/performance.md, made of results/benchmarks by `python -m measuring.page`, in benchmarks/."""

import json
from pathlib import Path
from typing import Any

from measuring.results import FOLDER, Claim, number

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"
BEGIN, END = "<!-- benchmarks: made of results/benchmarks by make bench -->", "<!-- end of the benchmarks -->"
HEAD = "| what | ours | peer | ratio (middle half) | asked |\n|---|--:|--:|--:|--:|"


def tables(results: Path = FOLDER) -> str:
    """A table for each file, under the command that wrote it; the machine once, where it is one."""
    files = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("*.json"))]
    machines = [_machine(each["machine"]) for each in files]
    one = len(set(machines)) == 1
    parts = [f"Measured on {machines[0]}."] if one else []
    for told, where in zip(files, machines, strict=True):
        rows = [_row(Claim(**claim)) for claim in told["claims"]]
        on = "" if one else f", on {where}"
        parts.append("\n".join([f"`{told['command']}`{on}:", "", HEAD, *rows]))
    return "\n\n".join(parts)


def with_tables(page: str, made: str) -> str:
    """The page with what is between its markers made anew."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{made}\n\n{END}{after}"


def _machine(told: dict[str, Any]) -> str:
    has = ", ".join(told["instructions"]) or "none of the instructions that count"
    return f"{told['cores']} cores of {told['cpu']} ({has}), torch {told['torch']}, lightning {told['lightning']}"


def _row(claim: Claim) -> str:
    peer = "" if claim.peer is None else f"{number(claim.peer)}: {claim.against}"
    spread = f" ({claim.low:.2f} to {claim.high:.2f})" if claim.turns > 1 and claim.low else ""
    ratio = "" if claim.ratio is None else f"{claim.ratio:.2f}{spread}"
    bounds = [
        f"{word} {bound:g}" for word, bound in (("≥", claim.least), ("≤", claim.most)) if bound is not None
    ]
    asked = " ".join([*bounds, *([] if claim.holds else ["**missed**"])])
    return f"| {claim.what} | {number(claim.ours)} {claim.unit} | {peer} | {ratio} | {asked} |"


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8"), tables()), encoding="utf-8")
