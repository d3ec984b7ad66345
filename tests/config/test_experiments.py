"""Every run of every experiment is the run that it was, and says so with the same words."""

from pathlib import Path

import pytest

import experiments

RENEW = "if it is meant: python tests/helpers/experiments.py"


@pytest.fixture(autouse=True)
def among_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    experiments.write_images()


@pytest.mark.parametrize("experiment", experiments.EXPERIMENTS)
def test_every_run_of_an_experiment_keeps_its_label_and_its_identity(experiment: str) -> None:
    expected = experiments.known(experiments.RUNS, experiment)
    assert expected
    assert list(experiments.runs_of(experiment)) == expected, RENEW


@pytest.mark.parametrize("multirun", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("experiment", experiments.EXPERIMENTS)
def test_cfg_prints_an_experiment_byte_for_byte(experiment: str, multirun: bool) -> None:
    [(_, alone, swept)] = experiments.known(experiments.TEXTS, experiment)
    assert experiments.text_of(experiment, multirun=multirun) == (swept if multirun else alone), (
        f"compare what `resnet-lab train --cfg experiment={experiment}` says with the last commit; {RENEW}"
    )
