"""Make what the page shows, as plain values for JSON: equal for equal runs. Free of torch."""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from resnet_lab.columns import COLUMNS, headings, word
from resnet_lab.config.groups import config_dir, own_dirs
from resnet_lab.errors import UserError, printable
from resnet_lab.files import read_text, tail
from resnet_lab.report.against import held, shared_variance
from resnet_lab.report.choices import but_for_the_seed, differing
from resnet_lab.report.collect import FoundRun
from resnet_lab.report.compare import Group, keys_of_rows, summarise
from resnet_lab.report.conclude import best_of, conclude
from resnet_lab.report.draw_depth import DEPTH, main_choice
from resnet_lab.report.effects import effects_table
from resnet_lab.report.names import names_of, names_of_runs
from resnet_lab.report.page.curves import curves_of, steps_of
from resnet_lab.report.page.measured import measured_in
from resnet_lab.report.paper import RULE, Beside, answered
from resnet_lab.report.parts import parted
from resnet_lab.report.pivot import cell
from resnet_lab.report.pool import KIND, pools
from resnet_lab.report.publish import rule_of, title_of
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
    """Sweeps by name; of several, a view of all runs together comes first."""
    every = list({run.path.resolve(): run for runs in sweeps.values() for run in runs}.values())
    numbers = {run.path: index for index, run in enumerate(every)}
    by_path = {run.path.resolve(): numbers[run.path] for run in every}
    alone: dict[str, Sequence[FoundRun]] = {}
    for name, runs in sweeps.items():
        alone |= _apart(name, runs)
    together = _apart("all together", every) if len(sweeps) > 1 else {}
    named = {name: runs for name, runs in together.items() if runs not in alone.values()} | alone
    shared, own = _configurations(every)
    curves, steps = curves_of(every), steps_of(every)
    data = {
        "views": [_view(name, runs, by_path) for name, runs in named.items()],
        "shared": shared,
        "runs": [
            _run(run, name, own[index], curves[index], steps[index], log=_worth_a_log(run, len(every)))
            for index, (run, name) in enumerate(zip(every, names_of_runs(every), strict=True))
        ],
        "columns": [
            {"name": column.name, "title": column.title, "part": column.part} for column in COLUMNS.values()
        ],
        "alike": ALIKE,
        "rules": {"statistics": rule_of(), "paper": RULE},
    }
    return {name: plain(part, DIGITS) for name, part in data.items()}


def _apart(name: str, runs: Sequence[FoundRun]) -> dict[str, Sequence[FoundRun]]:
    """Return a view of each part of these runs that can be compared."""
    return {f"{name}: {part}" if part else name: members for part, members in parted(runs).items()}


def _view(name: str, runs: Sequence[FoundRun], numbers: Mapping[Path, int]) -> dict[str, object]:
    """One sweep, or all together, as the report tells of it."""
    groups = summarise(runs)
    answers, beside = answered(runs, groups)
    ended = [group for group in groups if group.result.n]
    best = groups.index(best_of(ended)[0]) if ended else None
    command, question = _command_and_question([str(run.choices["name"]) for run in runs])
    return {
        "name": name,
        "title": title_of(runs),
        "command": command,
        "question": question,
        "conclusion": conclude(groups, beside),
        "states": dict(sorted(Counter(run.state for run in runs).items())),
        "keys": keys_of_rows(groups),
        "words": {key: word(key) for key in keys_of_rows(groups)},
        "objective": _objective(groups),
        "main": _main(groups),
        "best": best,
        "groups": [
            {"id": id, "name": name, "verdict": verdict, **_group(group, figures, numbers)}
            for id, name, verdict, group, figures in zip(
                _ids(groups),
                names_of(groups),
                _verdicts(groups, best),
                groups,
                group_figures(groups),
                strict=True,
            )
        ],
        "differences": _differences(groups, best),
        "heat": _heat(groups),
        "effects": _words(table) if (table := effects_table(groups)) else None,
        "paper": _paper(answers, beside),
    }


def _command_and_question(names: Sequence[str]) -> tuple[str, str]:
    """Return the command and the question of the runs' experiment; empty if several, or its file is missing."""
    distinct = set(names)
    if len(distinct) != 1:
        return "", ""
    (name,) = distinct
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)*", name) or ".." in name:
        return "", ""
    for root in (*own_dirs(), config_dir()):
        try:
            text = read_text(root / "experiment" / f"{name}.yaml")
        except (OSError, ValueError):
            continue
        return f"{COMMAND}{name}", _question(text)
    return "", ""


def _question(text: str) -> str:
    """Return the comment below the command at the head of an experiment's file, without its cost."""
    head = [line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#")]
    said = [line for line in head if line and not line.startswith(("@package", "resnet-lab ", "Cost:"))]
    return " ".join(said)


def _group(group: Group, figures: Mapping[str, Any], numbers: Mapping[Path, int]) -> dict[str, object]:
    facts = {
        key: value for key, value in figures.items() if not (value is None or value == "" or value != value)
    }
    return {
        "net": group.net,
        "mean": group.result.mean,
        "shown": said(group.objective, group.result),
        "figures": facts,
        "lost": group.diverged,
        "runs": [numbers[run.path.resolve()] for run in group.runs],
        "copies": [numbers[run.path.resolve()] for run in group.copies],
        "measured": measured_in(group),
    }


def _objective(groups: Sequence[Group]) -> dict[str, object]:
    """Return what the groups are judged by: where runs and figures have it, its name, and which end is best."""
    column = groups[0].objective if groups else COLUMNS["test_error"]
    higher = column.better == "higher"
    return {
        "key": column.key,
        "name": column.name,
        "title": column.title,
        "unit": column.unit,
        "higher": higher,
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
    """Return for some groups as the baseline, by their places, of each group: [difference, half its interval, note].

    Those are the best one and the first ones, as many as a page has room for.
    """
    varying = differing(group.choices for group in groups)
    shared = shared_variance(groups)
    found = {}
    bases = [] if best is None else [best]
    bases += [index for index in range(min(DIFFERENCES // max(len(groups), 1), len(groups))) if index != best]
    for index in bases:
        line = []
        for group in groups:
            against = held(group, [groups[index]], varying, shared)
            line.append([against.difference.mean, against.difference.half, against.note])
        found[str(index)] = line
    return found


def _heat(groups: Sequence[Group]) -> dict[str, object]:
    """Cells of every two choices that vary, as `report --rows --columns` pools them."""
    keys = [key for key in (KIND, *differing(group.choices for group in groups)) if _varies(groups, key)][
        :AXES
    ]
    found: dict[str, Any] = {}
    for index, rows in enumerate(keys):
        for columns in keys[index + 1 :]:
            pooled = pools(groups, [rows, columns])
            cells = []
            for line in pooled.lines:
                cells.append([list(line.by.values()), cell(line, n=True), line.result.mean, line.diverged])
            found[f"{rows} {columns}"] = {"keys": pooled.keys, "cells": cells, "note": pooled.caption}
    facts = dict.fromkeys([*keys, *(key for pair in found.values() for key in pair["keys"])])
    return {"keys": keys, "words": headings(facts), "pairs": found}


def _varies(groups: Sequence[Group], key: str) -> bool:
    values = {group.kind if key == KIND else str(group.choices.get(key)) for group in groups}
    return len(values) > 1


def _words(table: Table) -> dict[str, object]:
    return {"columns": table.columns, "numbers": sorted(table.numbers), "rows": table.rows}


def _paper(answers: str | None, beside: Sequence[Beside]) -> dict[str, object] | None:
    """Return the paper's figures: the table, and the points of the plot."""
    if answers is None:
        return None
    return {
        "name": answers,
        **_words(paper_table(beside)),
        "points": [
            {
                "label": each.figure.label,
                "error": each.figure.compared,
                "depth": each.figure.run.get("model.depth"),
                "kind": each.group.kind if each.group else None,
            }
            for each in beside
            if isinstance(each.figure.printed, float)
        ],
    }


def _configurations(runs: Sequence[FoundRun]) -> tuple[dict[str, object], list[dict[str, object]]]:
    """Return the choices that all runs share, and for each run the others."""
    first = runs[0].choices if runs else {}
    shared = {
        key: value
        for key, value in first.items()
        if all(key in run.choices and run.choices[key] == value for run in runs)
    }
    return shared, [{key: value for key, value in run.choices.items() if key not in shared} for run in runs]


def _run(
    run: FoundRun, name: str, own: Mapping[str, Any], curves: Any, steps: Any, *, log: bool
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
        "own": own,
        "last": record.last,
        "best": record.best,
        "cost": known(record.cost),
        "environment": known(record.environment),
        "iterations": run.iterations,
        "curves": curves,
        "steps": steps,
        "log": _ended_with(run.path / "log.txt") if log else "",
    }
    return {key: value for key, value in facts.items() if value not in (None, "", {}, [])}


def _worth_a_log(run: FoundRun, runs: int) -> bool:
    """Return every run's last lines on a page of few; of many only those of what did not finish."""
    return runs <= MANY * MANY or run.state != State.FINISHED


def _ended_with(log: Path) -> str:
    """Return the last lines of a log; empty where there is none."""
    lines = [printable(line)[:300] for line in tail(log).splitlines() if line.strip()]
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
