"""Make what the page shows, as plain values for JSON: equal for equal runs. Free of torch."""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from resnet_lab.columns import COLUMNS, Column, headings, word
from resnet_lab.config.groups import config_dir, own_dirs
from resnet_lab.errors import UserError, printable
from resnet_lab.files import read_text, tail
from resnet_lab.report.against import held, shared_variance
from resnet_lab.report.choices import but_for_the_seed, differing
from resnet_lab.report.collect import FoundRun
from resnet_lab.report.compare import Group, keys_of_rows, names_of, names_of_runs, summarise
from resnet_lab.report.conclude import best_of, conclude
from resnet_lab.report.draw_depth import DEPTH, main_choice
from resnet_lab.report.effects import effects_table
from resnet_lab.report.page.measured import curves_of, measured_in, steps_of
from resnet_lab.report.paper import RULE, Beside, answered
from resnet_lab.report.pivot import cell
from resnet_lab.report.pool import KIND, Pool, pools
from resnet_lab.report.publish import rule_of, title_of
from resnet_lab.report.select import parted
from resnet_lab.report.spread import difference, holm
from resnet_lab.report.table import MANY, group_figures, paper_table, said
from resnet_lab.report.tabular import DIGITS, Table, plain
from resnet_lab.runs.record import State, known

DIFFERENCES = 6_000  # at most, so that a page of many groups stays small: those to the first groups
LINES = 8  # of a log
ALIKE = "cannot tell"  # whether it differs from the best
COMMAND = "resnet-lab train -m experiment="
AXES = 6  # choices of the heat map, two at a time


def page_data(sweeps: Mapping[str, Sequence[FoundRun]]) -> dict[str, object]:
    """Return what the page shows of sweeps by name; of several, a view of all runs together comes first."""
    every = list({run.path.resolve(): run for runs in sweeps.values() for run in runs}.values())
    numbers = {run.path.resolve(): index for index, run in enumerate(every)}
    alone: dict[str, Sequence[FoundRun]] = {}
    for name, runs in sweeps.items():
        alone |= _apart(name, runs)
    together = _apart("all together", every) if len(sweeps) > 1 else {}
    named = {name: runs for name, runs in together.items() if runs not in alone.values()} | alone
    first = every[0].choices
    shared = {
        key: value for key, value in first.items() if all(run.choices.get(key, ()) == value for run in every)
    }
    lines = zip(every, names_of_runs(every), curves_of(every), steps_of(every), strict=True)
    data = {
        "views": [_view(name, runs, numbers) for name, runs in named.items()],
        "shared": shared,
        "runs": [_run(*line, shared, _log(line[0], len(every))) for line in lines],
        "columns": [_column(column) for column in COLUMNS.values()],
        "alike": ALIKE,
        "rules": {"statistics": rule_of(), "paper": RULE},
    }
    return {name: plain(part, DIGITS) for name, part in data.items()}


def _column(column: Column) -> dict[str, object]:
    facts = {name: getattr(column, name) for name in ("name", "title", "part", "key", "unit")}
    return {**facts, "higher": column.better == "higher"}


def _apart(name: str, runs: Sequence[FoundRun]) -> dict[str, Sequence[FoundRun]]:
    """Return the runs of each part that can be compared, by the name of its view."""
    return {f"{name}: {part}" if part else name: members for part, members in parted(runs).items()}


def _view(name: str, runs: Sequence[FoundRun], numbers: Mapping[Path, int]) -> dict[str, object]:
    """Return one sweep, or all together, as the report describes it."""
    groups = summarise(runs)
    answers, beside = answered(runs, groups)
    ended = [group for group in groups if group.result.n]
    best = groups.index(best_of(ended)[0]) if ended else None
    command, question = _command_and_question(str(run.choices["name"]) for run in runs)
    names = zip(_ids(groups), names_of(groups), _verdicts(groups, best), strict=True)
    facts = [{"id": id, "name": name, "verdict": verdict} for id, name, verdict in names]
    figures = zip(facts, groups, group_figures(groups), strict=True)
    return {
        "name": name,
        "title": title_of(runs),
        "command": command,
        "question": question,
        "conclusion": conclude(groups, beside),
        "states": dict(sorted(Counter(run.state for run in runs).items())),
        "keys": keys_of_rows(groups),
        "words": {key: word(key) for key in keys_of_rows(groups)},
        "objective": _column(groups[0].objective),
        "main": _main(groups),
        "best": best,
        "groups": [{**facts, **_group(group, figures, numbers)} for facts, group, figures in figures],
        "differences": _differences(groups, best),
        "heat": _heat(groups),
        "effects": _words(table) if (table := effects_table(groups)) else None,
        "paper": _paper(answers, beside),
    }


def _command_and_question(names: Iterable[str]) -> tuple[str, str]:
    """Return the command and the question of the runs' experiment; empty if several, or its file is missing.

    The question is the comment below the command at the head of the file, without the cost.
    """
    name, *others = set(names)
    if others or ".." in name or not re.fullmatch(r"[\w.-]+(/[\w.-]+)*", name):
        return "", ""
    for root in (*own_dirs(), config_dir()):
        try:
            text = read_text(root / "experiment" / f"{name}.yaml")
        except (OSError, ValueError):
            continue
        head = [line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#")]
        said = [line for line in head if line and not line.startswith(("@package", "resnet-lab ", "Cost:"))]
        return f"{COMMAND}{name}", " ".join(said)
    return "", ""


def _group(group: Group, figures: Mapping[str, Any], numbers: Mapping[Path, int]) -> dict[str, object]:
    return {
        "net": group.net,
        "mean": group.result.mean,
        "shown": said(group.objective, group.result),
        "figures": {
            key: value for key, value in figures.items() if value not in (None, "") and value == value
        },
        "lost": group.diverged,
        "runs": [numbers[run.path.resolve()] for run in group.runs],
        "copies": [numbers[run.path.resolve()] for run in group.copies],
        "measured": measured_in(group),
    }


def _ids(groups: Sequence[Group]) -> list[str]:
    """Return stable group ids, derived from the shared configuration only, so they do not change while runs progress.

    That is known only once they end; groups that differ in it alone are numbered.
    """
    times: Counter[str] = Counter()
    found = []
    for group in groups:
        shared = repr(sorted(but_for_the_seed(group.choices).items(), key=str))
        name = hashlib.sha256(shared.encode(errors="backslashreplace")).hexdigest()[:8]
        times[name] += 1
        found.append(name if times[name] == 1 else f"{name}-{times[name]}")
    return found


def _verdicts(groups: Sequence[Group], best: int | None) -> list[str]:
    """Say of each group whether it differs from the best one, with Holm's correction as the conclusion has it."""
    words = [""] * len(groups)
    if best is None:
        return words
    column, shared = groups[best].objective, shared_variance(groups)
    others = {index: group for index, group in enumerate(groups) if group.result.n and index != best}
    found = [difference(group.result, groups[best].result, shared) for group in others.values()]
    for index, each, apart in zip(others, found, holm([each.p for each in found]), strict=True):
        unlike = "worse" if column.worse(each.mean) else "better"
        words[index] = unlike if apart else "too few runs" if math.isnan(each.half) else ALIKE
    words[best] = "the best"
    return words


def _main(groups: Sequence[Group]) -> str | None:
    """Return the choice that a result is drawn against, by the name that the page's script has for it."""
    main = main_choice([group for group in groups if group.result.n])
    return {DEPTH: "depth", "net": "kind"}.get(main or "", main)


def _differences(groups: Sequence[Group], best: int | None) -> dict[str, list[list[Any]]]:
    """Return [difference, half its interval, note] of each group to the best and the first groups, by their places."""
    varying = differing(group.choices for group in groups)
    shared = shared_variance(groups)
    first = range(min(DIFFERENCES // len(groups), len(groups)))
    found = {}
    for index in dict.fromkeys([*first] if best is None else [best, *first]):
        against = [held(group, [groups[index]], varying, shared) for group in groups]
        found[str(index)] = [[each.difference.mean, each.difference.half, each.note] for each in against]
    return found


def _heat(groups: Sequence[Group]) -> dict[str, object]:
    """Return the cells of every two choices that vary, as `report --rows --columns` pools them."""
    kinds = [KIND] if len({group.kind for group in groups}) > 1 else []
    varying = differing(group.choices for group in groups)
    keys = [key for key in varying if len({str(group.choices.get(key)) for group in groups}) > 1]
    keys = [*kinds, *keys][:AXES]
    found: dict[str, Any] = {}
    for rows, columns in combinations(keys, 2):
        pooled = pools(groups, [rows, columns])
        found[f"{rows} {columns}"] = {
            "keys": pooled.keys,
            "cells": [_cell(line) for line in pooled.lines],
            "note": pooled.caption,
        }
    every = dict.fromkeys([*keys, *(key for pair in found.values() for key in pair["keys"])])
    return {"keys": keys, "words": headings(every), "pairs": found}


def _cell(line: Pool) -> tuple[object, ...]:
    return list(line.by.values()), cell(line, n=True), line.result.mean, line.diverged


def _words(table: Table) -> dict[str, object]:
    return {"columns": table.columns, "numbers": sorted(table.numbers), "rows": table.rows}


def _paper(answers: str | None, beside: Sequence[Beside]) -> dict[str, object] | None:
    """Return the paper's figures: the table, and the points of the plot."""
    if answers is None:
        return None
    points = [
        {
            "label": each.figure.label,
            "error": each.figure.compared,
            "depth": each.figure.run.get("model.depth"),
            "kind": each.group.kind if each.group else None,
        }
        for each in beside
        if isinstance(each.figure.printed, float)
    ]
    return {"name": answers, **_words(paper_table(beside)), "points": points}


def _run(
    run: FoundRun, name: str, curves: object, steps: object, shared: Mapping[str, Any], log: str
) -> dict[str, object]:
    record = run.record
    facts = {
        "id": hashlib.sha256(str(run.path).encode(errors="backslashreplace")).hexdigest()[:8],
        "name": name,
        "folder": run.path.name,
        "sweep": run.choices["name"],
        "state": run.state,
        "error": run.error,
        "message": record.error.message if record.error else None,
        "seed": run.seed,
        "label": run.label,
        "own": {key: value for key, value in run.choices.items() if key not in shared},
        "last": record.last,
        "best": record.best,
        "cost": known(record.cost),
        "environment": known(record.environment),
        "iterations": run.iterations,
        "curves": curves,
        "steps": steps,
        "log": log,
    }
    return {key: value for key, value in facts.items() if value not in (None, "", {}, [])}


def _log(run: FoundRun, runs: int) -> str:
    """Return the last lines of a run's log; on a page of many runs only if it did not finish."""
    if runs > MANY * MANY and run.state == State.FINISHED:
        return ""
    lines = [printable(line)[:300] for line in tail(run.path / "log.txt").splitlines() if line.strip()]
    return "\n".join(lines[-LINES:])


def named_sweeps(folders: Sequence[Path], runs: Sequence[FoundRun]) -> dict[str, list[FoundRun]]:
    """Return the runs by the folder that they lie in, named so that no two are alike."""
    homes: dict[Path, list[FoundRun]] = {}
    for run in runs:
        homes.setdefault(run.path if run.path in folders else run.path.parent, []).append(run)
    if not homes:
        raise UserError("there are no runs to show")
    names = {home: str(members[0].choices["name"]) for home, members in homes.items()}
    if len(set(names.values())) < len(names):
        names = {home: str(home) for home in homes}
    return {names[home]: members for home, members in homes.items()}
