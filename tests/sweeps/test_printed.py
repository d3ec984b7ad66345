"""`train --cfg`: the configuration, or a part of it, each key with what set it."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from resnet_lab.config.groups import config_dir
from resnet_lab.config.request import compose
from resnet_lab.errors import UserError
from resnet_lab.sweeps.printed import in_yaml, print_configurations


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def lines(*overrides: str, part: str | None = None, multirun: bool = False) -> str:
        assert print_configurations(list(overrides), part, multirun=multirun) == 0
        return capsys.readouterr().out

    return lines


def test_what_is_printed_is_the_configuration(printed) -> None:
    asked = ["experiment=he2015/table6", "recipe.lr=0.05", "logger.tags=[a,1e5]", "name='x: y'"]
    config = compose(asked, planned=True)
    assert OmegaConf.create(printed(*asked)) == OmegaConf.create(
        OmegaConf.to_container(OmegaConf.structured(config))
    )


def test_each_key_has_what_set_it(printed, tmp_path: Path) -> None:
    (tmp_path / "local.yaml").write_text("runs_root: elsewhere\ndata: {cifar10: {root: images}}\n")
    (tmp_path / "images").mkdir()
    (tmp_path / "configs/recipe").mkdir(parents=True)
    (tmp_path / "configs/recipe/mine.yaml").write_text("defaults: [he2015_cifar, _self_]\nmomentum: 0.8\n")
    told = printed("experiment=he2015/table6", "recipe=mine", "recipe.lr=0.05")
    by = {line.split(":")[0].strip(): line.partition("  # ")[2] for line in told.splitlines()}
    assert by["lr"] == "command line"
    assert by["momentum"] == "configs/recipe/mine.yaml"
    assert by["drops"] == "recipe/he2015_cifar.yaml"
    assert by["answers"] == "experiment/he2015/table6.yaml"
    assert by["runs_root"] == by["root"] == "local.yaml"
    assert by["num_classes"] == "worked out"
    assert by["seed"] == by["nesterov"] == ""


def test_a_file_of_this_package_goes_by_its_group_wherever_one_stands(
    printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(config_dir().parents[1])
    told = printed("recipe=he2015_cifar", "model=cifar_plain", part="recipe.lr")
    assert "  # recipe/he2015_cifar.yaml" in told


@pytest.mark.parametrize(("part", "lines"), [("recipe.lr", 2), ("callbacks.probe", 4), ("seed", 1)])
def test_a_part_is_printed_alone(part: str, lines: int, printed) -> None:
    told = printed("experiment=quickstart", part=part)
    assert len(told.splitlines()) == lines
    assert OmegaConf.select(OmegaConf.create(told), part) is not None


def test_a_part_that_no_run_has_is_refused_with_the_nearest(printed) -> None:
    with pytest.raises(UserError, match=r"did you mean 'recipe\.lr'"):
        printed(part="recipe.lrr")


def test_of_a_sweep_the_part_of_each_run_stands_below_its_folder(printed) -> None:
    documents = printed("experiment=quickstart", "seed=0", part="model.depth", multirun=True).split("---\n")
    assert {text.splitlines()[0].split("-s0-")[0] for text in documents} == {
        f"# runs/quickstart/{kind}-{depth}" for kind in ("plain", "resnet") for depth in (20, 56)
    }
    assert all("# experiment/quickstart.yaml" in text for text in documents)


@pytest.mark.parametrize(
    "value", ["1e5", "on", "a: b", "a\nb", "", None, True, 1e-5, [1, "x y"], {}, "ö", "~"]
)
def test_a_value_in_one_line_is_read_back(value: object) -> None:
    text = in_yaml(value)
    assert "\n" not in text
    assert OmegaConf.to_container(OmegaConf.create(f"it: {text}")) == {"it": value}
