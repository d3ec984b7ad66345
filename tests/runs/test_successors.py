"""What follows a finished run: a longer one, which ends as one that was never interrupted, or one beside it."""

from dataclasses import replace
from pathlib import Path

import pytest

from forked import killed
from resnet_lab.cli import main
from resnet_lab.config.identity import path_of
from resnet_lab.config.request import compose
from resnet_lab.config.schema import TrainConfig
from resnet_lab.errors import UserError
from resnet_lab.report.collect import collect
from resnet_lab.report.compare import summarise
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder
from resnet_lab.runs.record import Environment
from resnet_lab.runs.recording import code_digest
from resnet_lab.runs.successors import extended, fresh, of_other_code
from run_folders import configured, finished, interrupted

SMALL = (
    *("data=digits", "data.train_images=160", "data.test_images=80", "model.depth=8", "model.width=4"),
    *("recipe.batch_size=32", "recipe.schedule=constant", "trainer.accelerator=cpu", "trainer.threads=1"),
    "trainer.progress=false",
)


def trained(root: Path, *more: str) -> RunFolder:
    folder = RunFolder.create(compose([*SMALL, f"runs_root={root}", *more]))
    assert execute(folder.path).error is None
    return folder


def test_a_longer_run_has_the_weights_of_one_that_was_never_interrupted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short, whole = (trained(tmp_path, f"recipe.epochs={epochs}") for epochs in (1, 3))
    before = short.record_file.read_bytes()
    for again in ("finished", "already finished"):
        assert main(["train", "--extend", str(short.path), "recipe.epochs=3"]) == 0
        assert f": {again}, test error" in capsys.readouterr().out
    (longer,) = (run for run in collect(tmp_path) if run.choices["extends"])
    assert RunFolder(longer.path).weights_file.read_bytes() == whole.weights_file.read_bytes()
    assert longer.history["iteration"] == [5, 10, 15]
    record = RunFolder(longer.path).record()
    assert record.config["extends"] == f"{short.record().hash}@5"
    assert record.resumed_from == [5]
    assert record.last == whole.record().last
    assert short.record_file.read_bytes() == before
    assert len(summarise(collect(tmp_path))) == 3  # it is no replica of the run that was never interrupted


def test_it_resumes_as_any_run_does_and_says_what_the_schedule_does(tmp_path: Path) -> None:
    short = trained(tmp_path, "recipe.epochs=1", "recipe.schedule=cosine")
    folder, line = extended(short.path, ["recipe.epochs=3"])
    assert "recipe.schedule=cosine is that of 15 iterations from there" in line
    other, _ = extended(short.path, ["recipe.epochs=3", "name=other"])
    killed(folder, "after", 10)
    assert execute(folder.path).last == execute(other.path).last
    assert folder.weights_file.read_bytes() == other.weights_file.read_bytes()


def test_what_cannot_be_extended_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    short = trained(tmp_path, "recipe.epochs=1")
    before = sorted(tmp_path.rglob("*"))
    for asked, said in (
        (["recipe.epochs=1"], "the run has 1 already"),
        (["recipe.lr=3"], "changes the length alone"),
        ([], "needs the new length"),
        (["recipe.epochs=many"], "needs the new length"),
    ):
        with pytest.raises(UserError, match=said):
            extended(short.path, asked)
    assert sorted(tmp_path.rglob("*")) == before
    with pytest.raises(UserError, match=r"--extend RUN recipe\.epochs=N fills it in"):
        compose([*SMALL, "extends=x@5"])
    unfinished = RunFolder.create(compose([*SMALL, f"runs_root={tmp_path}", "seed=1"]))
    with pytest.raises(UserError, match="is new: train --extend goes on from a finished run"):
        extended(unfinished.path, ["recipe.epochs=30"])


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
