"""Every experiment of configs/: its rows are the table's, and it runs from end to end in debug form."""

import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from resnet_lab.config.groups import groups
from resnet_lab.config.identity import path_of
from resnet_lab.config.request import compose
from resnet_lab.config.schema import TrainConfig
from resnet_lab.debug.modes import ITERATIONS
from resnet_lab.reference import table
from resnet_lab.report import FoundRun, summarise
from resnet_lab.report.choices import complete
from resnet_lab.report.paper import different_question, figures
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.record import Record
from swept import configurations, expanded

EXPERIMENTS = groups()["experiment"]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_is_named_after_its_file(name: str, tmp_path: Path) -> None:
    for config in configurations([f"experiment={name}", "debug=true", f"runs_root={tmp_path}"]):
        assert config.name == f"debug/{name}"
        assert config.answers in (None, name)


def rows(experiment: str, tmp_path: Path) -> list[str]:
    jobs = expanded([f"experiment={experiment}", "seed=0", "debug=true", f"runs_root={tmp_path}"])
    return [config.model.label for config in map(compose, jobs)]


def test_table_6_has_the_papers_depths(tmp_path: Path) -> None:
    paper = [f"resnet-{row['layers']}" for row in table("he2015/table6") if row["method"] == "ResNet"]
    assert rows("he2015/table6", tmp_path) == paper


def test_table_1_of_he2016_has_each_shortcut_of_the_paper(tmp_path: Path) -> None:
    labels = rows("he2016/table1", tmp_path)
    # "0 to -5" is one row of the paper and six runs here.
    assert len(labels) == len(set(labels)) == len(table("he2016/table1")) + 5


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if name.startswith("he20")])
def test_an_experiment_answers_the_figures_of_its_table_as_the_paper_made_them(
    name: str, tmp_path: Path
) -> None:
    here = [f"experiment={name}", "seed=0", f"runs_root={tmp_path}"]
    groups = summarise(planned(config) for config in configurations(here, planned=True))
    asked = figures(name)
    answered = {figure.label for figure in asked for group in groups if figure.answered_by(group)}
    missing = {figure.label for figure in asked} - answered
    assert missing == ({"ResNet-1202"} if name == "he2015/fig6" else set())  # its run is Table 6's
    if any(figure.never for figure in asked):
        return
    for group in groups if asked else ():
        reasons = [different_question(figure, group) for figure in asked if figure.answered_by(group)]
        assert None in reasons, f"{group.kind}, {group.depth} layers: {reasons}"


def planned(config: TrainConfig) -> FoundRun:
    """A run as the report finds it before it starts."""
    choices = complete(asdict(config))
    facts = {"depth": config.model.depth, "kind": config.model.kind, "label": config.model.label}
    return FoundRun(path_of(config), "new", choices, Record(), {}, seed=config.seed, **facts)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_runs_in_debug_form(name: str, tmp_path: Path) -> None:
    chosen = [f"experiment={name}", "debug=true", "seed=0", f"runs_root={tmp_path}"]
    swept = resnet_lab("train", "-m", *chosen)
    for config in configurations(chosen):
        record = RunFolder(path_of(config)).record()
        if record.state == "finished":
            assert record.last["iteration"] == ITERATIONS
        else:  # at the rates that claims/learning_rate tries, diverging is an answer
            assert record.error.kind == "nonfinite_loss", swept.stdout + swept.stderr
            assert config.recipe.lr >= 1
    told = resnet_lab("report", str(tmp_path / "debug" / name))
    assert told.returncode == 0, told.stderr
    assert not re.search(r"\| (agrees|higher|lower)\b", told.stdout)  # a debug run is held against no paper


def resnet_lab(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "resnet_lab", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=560)
