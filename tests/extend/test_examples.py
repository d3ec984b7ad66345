"""The examples of examples/: each is killed, resumes to the same weights, is swept and reported."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from forked import killed
from own_project import EXAMPLES, examples, rows
from resnet_lab.cli import main
from resnet_lab.config.identity import identity
from resnet_lab.config.request import compose
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder

BRIEF = [
    *("recipe.batch_size=32", "recipe.epochs=2", "callbacks.checkpoint.every_iterations=2"),
    *("trainer.accelerator=cpu", "trainer.progress=false", "trainer.threads=1"),
]
DIGITS = ["data.train_images=96", "data.test_images=40", "data.validation=40"]


@dataclass
class Example:
    axis: str  # what is swept
    more: list[str] = field(default_factory=list)
    data: list[str] = field(default_factory=lambda: DIGITS)


DRAWN = ["data.args.images=96", "data.workers=0", "data.validation=16"]
FOUND = {
    "distillation": Example("recipe.loss_args.weight=0,0.7", ["recipe.loss_args.teacher=teacher"]),
    "adversarial": Example("module.args.epsilon=0,0.1"),
    "rotation": Example("module.args.lr=0.01,0.1"),
    "angle": Example("model.width=4,8", data=DRAWN),
    "tags": Example("model.width=4,8", data=DRAWN),
    "segmentation": Example("model.args.width=4,8", data=DRAWN),
}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with examples(tmp_path, monkeypatch) as folder:
        yield folder


def asked(name: str) -> list[str]:
    example = FOUND[name]
    if name == "distillation":
        teacher = compose([*BRIEF, *DIGITS, "run_dir=teacher", "model.depth=8", "recipe.epochs=1"])
        assert execute(RunFolder.create(teacher).path).error is None
    return [f"experiment={name}", *BRIEF, *example.data, *example.more]


@pytest.mark.parametrize("name", FOUND)
def test_an_example_is_killed_swept_and_reported(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = asked(name)
    whole, run = (RunFolder.create(compose([*given, f"name={each}"])) for each in ("whole", "killed"))
    record = execute(whole.path)
    assert record.error is None
    objective = whole.config().objective
    assert objective.metric in record.last
    assert set(record.best or {}) == {objective.validated, "epoch"}
    killed(run, "after", 2)
    assert execute(run.path).last == record.last
    last, other = (
        torch.load(max(each.checkpoints.glob("0*.ckpt")), weights_only=True)["state_dict"]
        for each in (run, whole)
    )
    assert all(torch.equal(last[key], other[key]) for key in last | other)
    assert rows(run) == rows(whole)

    assert main(["train", "-m", *given, "name=swept", "recipe.epochs=1", FOUND[name].axis]) == 0
    records = [json.loads(path.read_text()) for path in Path("runs/swept").glob("*/record.json")]
    assert [each["state"] for each in records] == ["finished", "finished"]
    capsys.readouterr()
    assert main(["report", "runs/swept"]) == 0
    assert "2 runs, 2 finished" in capsys.readouterr().out


def test_a_net_that_was_pretrained_on_rotations_is_fine_tuned() -> None:
    before = RunFolder.create(compose(asked("rotation")))
    assert execute(before.path).error is None
    tuned = [
        *BRIEF,
        *DIGITS,
        f"model.weights={before.path}",
        "model.head=reset",
        "recipe.epochs=1",
        "name=tuned",
    ]
    assert execute(RunFolder.create(compose([*tuned, "model.depth=8"])).path).last["test/error"] <= 100


def test_a_network_that_gives_no_scores_is_planned(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "experiment=segmentation", *BRIEF, *DRAWN, "model.args.width=4"]) == 0
    assert "1 run, 0 finished" in capsys.readouterr().out


def test_a_teacher_counts_by_its_weights_and_not_by_its_path(project: Path) -> None:
    given = asked("distillation")
    before = identity(compose(given))
    (project / "teacher").rename(project / "moved")
    moved = [each.replace("=teacher", "=moved") for each in given]
    assert identity(compose(moved)) == before
    other = compose([*BRIEF, *DIGITS, "run_dir=other", "model.depth=8", "recipe.epochs=1", "seed=1"])
    execute(RunFolder.create(other).path)
    assert identity(compose([each.replace("=moved", "=other") for each in moved])) != before


@pytest.mark.parametrize("name", FOUND)
def test_an_example_has_at_most_forty_lines(name: str) -> None:
    assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) <= 40


@pytest.mark.parametrize("name", ["rotation", "tags"])
def test_a_run_is_tested_again_by_its_own_module(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    run = RunFolder.create(compose([*asked(name), "recipe.epochs=1"]))
    record, metric = execute(run.path), run.config().objective.metric
    capsys.readouterr()
    assert main(["evaluate", "--run", str(run.path)]) == 0
    found = dict(
        line.split() for line in capsys.readouterr().out.splitlines() if line.strip().startswith("test/")
    )
    assert float(found[metric]) == pytest.approx(record.last[metric], abs=1e-3)
    assert main(["evaluate", "--run", str(run.path), "--protocol", "single_view"]) == 2
    assert "is tested by its own module" in capsys.readouterr().err


@pytest.mark.parametrize(
    "debug", ["true", "limit", "profile", pytest.param("overfit", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("name", ["rotation", "tags"])
def test_an_example_has_its_debug_modes(name: str, debug: str) -> None:
    more = [] if debug == "overfit" else FOUND[name].data
    run = RunFolder.create(compose([f"experiment={name}", *BRIEF, *more, f"debug={debug}"]))
    assert execute(run.path).error is None


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rotation", "tags"])
def test_two_processes_find_what_one_does(name: str) -> None:
    """Turns go by the place in a batch, so of rotations only the number of images is the same."""
    given = [*asked(name), "recipe.epochs=1"]
    one, two = (
        RunFolder.create(compose([*given, f"name={each}", f"trainer.devices={each}"])) for each in (1, 2)
    )
    first, second = execute(one.path), execute(two.path)
    assert second.error is None
    assert second.data.test == first.data.test
    if name == "tags":
        assert second.last["test/exact"] == pytest.approx(first.last["test/exact"], abs=10)
