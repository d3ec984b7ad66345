"""What `train --fresh` trains, and beside what."""

from dataclasses import replace
from pathlib import Path

import pytest

from resnet_lab.config.identity import path_of
from resnet_lab.config.schema import TrainConfig
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.record import Environment
from resnet_lab.runs.recording import code_digest
from resnet_lab.runs.successors import fresh, of_other_code
from run_folders import configured, finished, interrupted

THIS, OTHER, STOPPED = code_digest(), "00000000", None


def put(root: Path, seed: int, *codes: str | None) -> TrainConfig:
    """Runs of one configuration beside one another, by the code that finished each; None: it was stopped."""
    config = configured(root, seed=seed)
    first = path_of(config)
    for number, code in enumerate(codes, start=1):
        beside = first if number == 1 else first.with_name(f"{first.name}-{number}")
        there = replace(config, run_dir=str(beside)) if number > 1 else config
        if code is None:
            interrupted(there)
        else:
            folder = finished(there, 5.0)
            folder.write_record(replace(folder.record(), environment=Environment(code=code)))
    return config


@pytest.mark.parametrize(
    ("there", "trained"),
    [
        ([[]], [1]),
        ([[STOPPED]], [1]),
        ([[OTHER]], [2]),
        ([[THIS]], [2]),
        ([[OTHER, STOPPED]], [2]),
        ([[OTHER, THIS]], [3]),
        # a sweep that was stopped goes on: what its own code finished meanwhile is there
        ([[OTHER, THIS], [OTHER], [OTHER, STOPPED], []], [2, 2, 2, 1]),
        ([[OTHER, THIS], [THIS]], [3, 2]),
        ([[THIS, THIS], [THIS], [THIS]], [2, 2, 2]),
    ],
)
def test_each_run_gets_one_more_of_this_code_than_the_one_that_has_the_fewest(
    there: list[list[str | None]], trained: list[int], tmp_path: Path
) -> None:
    configs = [put(tmp_path, seed, *codes) for seed, codes in enumerate(there)]
    for config, chosen, number in zip(configs, fresh(configs), trained, strict=True):
        name = path_of(config).name
        assert path_of(chosen).name == (name if number == 1 else f"{name}-{number}")


def test_a_run_that_does_not_tell_which_code_made_it_is_of_an_earlier_one(tmp_path: Path) -> None:
    folder = finished(configured(tmp_path), 5.0)
    folder.write_record(replace(folder.record(), environment=Environment()))
    assert (
        of_other_code(folder)
        == "finished by other code of this package; train --fresh trains it anew beside it"
    )


def test_what_this_code_made_beside_it_is_named(tmp_path: Path) -> None:
    config = put(tmp_path, 0, OTHER, THIS)
    assert of_other_code(RunFolder(path_of(config))).endswith("; that of this code has -2")
