"""Images of one's own, of files outside the package: trained, killed, resumed, swept, reported, tested, exported."""

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from forked import killed, restored
from own_project import examples, refused, rows
from resnet_lab.cli import main
from resnet_lab.config.identity import identity
from resnet_lab.config.request import compose
from resnet_lab.errors import UserError
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder
from swept import configurations

SMALL = [  # 3 iterations an epoch
    *("data.args.images=96", "model.depth=8", "model.width=4", "recipe.batch_size=32", "recipe.epochs=3"),
    *("trainer.accelerator=cpu", "trainer.progress=false", "trainer.threads=1"),
    "callbacks.checkpoint.every_iterations=2",
]
SETS = ["data=shapes", "data.workers=0", *SMALL]
MODULE = ["data=shapes_module", *SMALL]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The examples, as a user's working folder."""
    with examples(tmp_path, monkeypatch) as folder:
        yield folder


def trained(asked: list[str]) -> RunFolder:
    folder = RunFolder.create(compose([*asked, "name=whole"]))
    assert execute(folder.path).error is None
    return folder


@pytest.mark.parametrize("resumed_with", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_run_that_is_killed_within_an_epoch_ends_as_the_run_that_was_not(resumed_with: int) -> None:
    whole = trained([*SETS, "data.validation=16"])
    folder = RunFolder.create(compose([*SETS, "data.validation=16", "data.workers=2"]))
    killed(folder, "after", 4)
    config = replace(folder.config(), data=replace(folder.config().data, workers=resumed_with))  # type: ignore[call-arg]
    RunFolder.create(config)
    assert execute(folder.path).state == "finished"
    assert restored(folder) == [4]
    assert rows(folder) == rows(whole)
    assert folder.weights_file.read_bytes() == whole.weights_file.read_bytes()


def test_a_data_module_resumes_and_what_is_not_promised_of_it_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole = trained(MODULE)
    folder = RunFolder.create(compose(MODULE))
    killed(folder, "after", 4)
    assert main(["train", *MODULE]) == 0
    assert restored(folder) == [4]
    assert (
        folder.weights_file.read_bytes() == whole.weights_file.read_bytes()
    )  # as nothing of it decides otherwise
    told = folder.record().data.not_promised
    assert "resumed within an epoch" in told
    assert capsys.readouterr().out.splitlines()[-1] == f"{folder.path}: {told}"
    assert told in folder.log_file.read_text()


def test_both_are_planned_swept_and_reported(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = [
        "-m",
        "data=shapes,shapes_module",
        "data.args.noise=10,20",
        *SMALL,
        "recipe.epochs=1",
        "name=own",
    ]
    assert main(["plan", *sweep]) == 0
    planned = capsys.readouterr().out
    assert all(word in planned for word in ("shapes", "shapes_module", "4 runs"))
    assert main(["train", *sweep]) == 0
    assert "4 runs: 4 finished" in capsys.readouterr().out
    assert main(["report", "runs/own"]) == 0
    with (project / "runs" / "own" / "table.csv").open(newline="") as file:
        groups = [(group["part"], group["data.args.noise"]) for group in csv.DictReader(file)]
    assert sorted(groups) == [(name, noise) for name in ("shapes", "shapes_module") for noise in ("10", "20")]


def test_a_trained_net_is_tested_again_predicts_files_and_is_exported(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for asked in ([*SETS, "name=sets"], [*MODULE, "name=module"]):
        folder = RunFolder.create(compose([*asked, "recipe.epochs=6"]))
        record = execute(folder.path)
        capsys.readouterr()
        assert main(["evaluate", "--run", str(folder.path)]) == 0
        assert f"{record.last['test/error']:.2f}" in capsys.readouterr().out
        assert main(["export", str(folder.path), "--out", "net.safetensors"]) == 0
        seen = json.loads(folder.preprocessing_file.read_text())
        assert (seen["channels"], seen["size"], seen["mean"]) == (1, [16, 16], [0.5])
        assert seen["class_names"] == ["disc", "square", "cross"]
    Image.fromarray(np.full((16, 16), 60, np.uint8)).save("grey.png")
    capsys.readouterr()
    assert main(["predict", "--run", str(folder.path), "grey.png"]) == 0
    assert any(name in capsys.readouterr().out for name in seen["class_names"])


def test_both_are_shown_and_run_within_a_minute(project: Path) -> None:
    assert main(["show", "data=shapes", "data.workers=0"]) == 0
    assert main(["show", "data=shapes_module"]) == 0
    assert len(list(project.glob("shapes*.png"))) == 4
    config = compose([*SETS, "debug=true"])
    assert (config.data.name, config.data.train_images, config.data.test_images) == ("shapes", 32, 16)
    assert compose([*MODULE, "debug=true"]).data.train_images is None


def test_only_what_can_change_a_result_makes_another_run() -> None:
    plain = compose(SETS)
    assert identity(compose([*SETS, "data.workers=2", "data.channels=1", "data.classes=3"])) == identity(
        plain
    )
    others = configurations([*SETS, "data.args.noise=10,20,30"])
    assert len({identity(run) for run in others}) == 3
    assert identity(others[1]) == identity(plain)
    assert plain.data.fingerprint != compose([*SETS, "data.args.images=99"]).data.fingerprint  # type: ignore[attr-defined]


def test_edited_images_are_another_run_and_the_old_one_does_not_go_on(project: Path) -> None:
    before = RunFolder.create(compose(SETS))
    code = (project / "shapes.py").read_text()
    (project / "shapes.py").write_text(code + "\nEDITED = True\n")
    assert compose(SETS).sources != before.config().sources
    assert identity(compose(SETS)) != identity(before.config())
    assert "was edited since this run was made" in execute(before.path).error.message


def test_nothing_is_called_that_a_safe_list_does_not_allow(capsys: pytest.CaptureFixture[str]) -> None:
    folder = trained([*SETS, "recipe.epochs=1"])
    for command in (["train", *SETS], ["evaluate", "--run", str(folder.path)], ["show", "data=shapes"]):
        assert main([*command, "data._target_=os.system"]) == 2
        assert "data._target_=os.system is refused" in capsys.readouterr().err


MISTAKES = {
    "a file that is not there": ("data._target_=my_shapes.make", "no module 'my_shapes'"),
    "a name that is not there": ("data._target_=shapes.mak", "did you mean shapes.make?"),
    "no target": ("data._target_=''", "data._target_ is needed"),
    "an argument that it does not take": ("data.args.colour=red", "unexpected keyword argument 'colour'"),
    "neither sets nor a module": ("data._target_=shapes.Shapes", "gives Shapes: data sets of (image, label)"),
    "other channels": ("data.channels=3", "data.channels=3: the first image of shapes.make has 1"),
    "another size": ("data.height=32", "data.height=32: the first image of shapes.make has 16"),
    "other classes": ("data.classes=10", "data.classes=10: shapes.make has 3"),
    "other names": (
        "data.class_names=[a,b]",
        "data.class_names has 2 names, and shapes.make has 3 classes",
    ),
    "a mean of other channels": ("data.mean=[0.5,0.5,0.5]", "one number for each of the 1 channels"),
    "nothing to divide by": ("data.std=[0]", "data.std=[0.0]: must be greater than 0"),
    "more images than there are": (
        "data.train_images=97",
        "data.train_images=97: allowed are 1 to 96 images",
    ),
    "all images set aside": ("data.validation=96", "data.validation=96: allowed are 0 to 95 images"),
    "other images than these": ("data.fingerprint=1-0", "other images than data.fingerprint=1-0"),
    "ten crops": ("protocol=ten_crop", "images of shapes are tested as they are"),
    "a key that is misspelt": ("data.arg.noise=1", "data.args"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_before_anything_is_written(
    mistake: str, capsys: pytest.CaptureFixture[str]
) -> None:
    override, told = MISTAKES[mistake]
    asked = [
        text for text in SETS if mistake != "neither sets nor a module" or not text.startswith("data.args")
    ]
    extra = ["data.args={images: 9, noise: 1}"] if mistake == "neither sets nor a module" else []
    assert told in refused([*asked, *extra, override], capsys)


def test_of_a_data_module_no_images_are_chosen() -> None:
    with pytest.raises(
        UserError, match=r"data\.train_images=10: a LightningDataModule chooses its images itself"
    ):
        compose([*MODULE, "data.train_images=10"])
    with pytest.raises(
        UserError, match=r"data\.validation=8: a LightningDataModule chooses its images itself"
    ):
        compose([*MODULE, "data.validation=8"])
