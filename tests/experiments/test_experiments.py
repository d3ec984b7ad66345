"""Every experiment of configs/: its rows are the table's, and it runs from end to end in debug form."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from resnet_lab.models.description import label
from resnet_lab.reference import table
from resnet_lab.runs.compose import compose
from resnet_lab.runs.groups import groups
from resnet_lab.sweeps.expand import expand

EXPERIMENTS = groups()["experiment"]
DEEP = 200  # layers; deeper nets take minutes even in debug form, and are the same code


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_is_named_after_its_file(name: str, tmp_path: Path) -> None:
    for job in expand([f"experiment={name}"])[:2]:
        config = compose([*job, "debug=true", f"runs_root={tmp_path}"])
        assert config.name == f"debug/{name}"
        assert config.answers in (None, name)


def rows(experiment: str, tmp_path: Path) -> list[str]:
    jobs = expand([f"experiment={experiment}", "debug=true", f"runs_root={tmp_path}"])
    return [label(config.model) for config in map(compose, jobs) if config.seed == 0]


def test_table_6_has_the_papers_depths(tmp_path: Path) -> None:
    paper = [f"resnet-{row['layers']}" for row in table("he2015/table6") if row["method"] == "ResNet"]
    assert rows("he2015/table6", tmp_path) == paper


def test_table_1_of_he2016_has_each_shortcut_of_the_paper(tmp_path: Path) -> None:
    labels = rows("he2016/table1", tmp_path)
    # "0 to -5" is one row of the paper and six runs here.
    assert len(labels) == len(set(labels)) == len(table("he2016/table1")) + 5


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_runs_in_debug_form(name: str, tmp_path: Path) -> None:
    jobs = expand([f"experiment={name}", "debug=true", f"runs_root={tmp_path}"])
    configs = {label(config.model): job for job in jobs if (config := compose(job)).model.depth <= DEEP}
    for job in configs.values():
        done = subprocess.run(
            [sys.executable, "-m", "resnet_lab.cli", "train", *job, "trainer.progress=false"],
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-2000:]
    records = [json.loads(path.read_text()) for path in tmp_path.rglob("record.json")]
    assert {record["state"] for record in records} == {"finished"}
    assert len(records) == len(configs)
    report = subprocess.run(
        [sys.executable, "-m", "resnet_lab.cli", "report", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert report.returncode == 0, report.stderr[-2000:]
