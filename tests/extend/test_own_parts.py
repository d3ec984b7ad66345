"""A shortcut, a block and an order of one's own in our nets: counted, trained, killed, resumed, swept and reported."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from forked import killed, restored
from own_project import SMALL, examples, refused
from resnet_lab.cli import main
from resnet_lab.config.identity import identity
from resnet_lab.config.request import compose
from resnet_lab.errors import UserError
from resnet_lab.models import build, create_model
from resnet_lab.models.counting import count
from resnet_lab.report.collect import collect
from resnet_lab.runs.execute import execute
from resnet_lab.runs.folder import RunFolder
from resnet_lab.trained import network

OWN = ["model.shortcut=rezero.ReZero", *SMALL]
PARTS = """
from resnet_lab.models import Block, Order

TRIPLE = Block(kernels=(3, 3, 3))
NUMBER = 3

class SumFirst(Order):
    @staticmethod
    def forward(unit, x):
        return unit.bn(unit.add(x, unit.convolutions(x)))
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The examples, as a user's working folder."""
    (tmp_path / "parts.py").write_text(PARTS)
    with examples(tmp_path, monkeypatch) as folder:
        yield folder


def test_a_shortcut_of_ones_own_begins_as_the_identity_and_learns() -> None:
    net = create_model("cifar_resnet20", shortcut="rezero.ReZero", width=4)
    x = torch.randn(2, 4, 8, 8)
    unit = net.layer1[0]
    torch.testing.assert_close(unit(x), x.relu())
    unit(x).sum().backward()
    assert unit.downsample.scale.grad != 0
    plain = create_model("cifar_resnet20", width=4)
    assert count(net, (3, 32, 32)).parameters == count(plain, (3, 32, 32)).parameters + 9


def test_it_is_killed_and_ends_as_the_run_that_nothing_disturbed() -> None:
    config = compose(OWN)
    whole = RunFolder.create(config)
    assert execute(whole.path).state == "finished"
    folder = RunFolder.create(replace(config, run_dir="killed"))
    killed(folder, "after", 4)
    assert execute(folder.path).state == "finished"
    assert restored(folder) == [4]
    assert folder.weights_file.read_bytes() == whole.weights_file.read_bytes()
    run = network.of_run(whole.path)
    assert (run.name.partition("-s0")[0], run.model.shortcut) == ("resnet-8-ReZero-width_4", "rezero.ReZero")
    run.load()


def test_a_sweep_plans_trains_and_reports_it_beside_the_identity(capsys: pytest.CaptureFixture[str]) -> None:
    sweep = ["-m", "experiment=rezero", *SMALL, "model.depth=8", "seed=0", "recipe.epochs=1"]
    assert main(["plan", *sweep]) == 0
    assert "ReZero" in capsys.readouterr().out
    assert main(["train", *sweep]) == 0
    assert {run.kind for run in collect("runs/rezero")} == {
        "residual (basic, A, width=4)",
        "residual (basic, ReZero, width=4)",
    }
    assert main(["report", "runs/rezero"]) == 0
    assert "ReZero" in capsys.readouterr().out


def test_its_depths_follow_from_a_block_of_ones_own() -> None:
    net = compose(["model.block=parts.TRIPLE", "model.depth=11", "model.order=parts.SumFirst"]).model
    assert build(net).layer3[0].conv3.kernel_size == (3, 3)
    with pytest.raises(UserError, match=r"not 9n\+2 .* parts.TRIPLE units.* 11 and 20"):
        compose(["model.block=parts.TRIPLE", "model.depth=12"])


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ("model.shortcut=rezero.ReZer", "did you mean rezero.ReZero"),
        ("model.shortcut=parts.SumFirst", "a subclass of resnet_lab.models.shortcuts.Shortcut is needed"),
        ("model.block=parts.NUMBER", "cannot be called: it is int"),
        ("model.block=parts.SumFirst", "a resnet_lab.models.blocks.Block is needed"),
        ("model.order=os.system", "refused"),
        ("model.shortcut=rezero.ReZero model.gate_bias=1", "rezero.ReZero does not read it"),
    ],
)
def test_what_is_no_such_part_is_refused(choice: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert told in refused(choice.split(), capsys)


def test_an_edit_makes_another_run_and_an_edit_of_comments_alone_does_not(project: Path) -> None:
    before, file = identity(compose(OWN)), project / "rezero.py"
    code = file.read_text()
    file.write_text(f"# A note.\n{code}\n\n# Another.\n")
    assert identity(compose(OWN)) == before
    file.write_text(code.replace("zeros(1)", "zeros(1) + 0.1"))
    assert identity(compose(OWN)) != before


def test_a_run_is_read_without_its_code(project: Path) -> None:
    folder = RunFolder.create(compose(OWN))
    (project / "rezero.py").unlink()
    said = yaml.safe_load(folder.config_file.read_text())["model"]["shortcut"]
    assert folder.config().model.shortcut == said == "rezero.ReZero"
