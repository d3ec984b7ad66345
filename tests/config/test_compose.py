"""Composition: from Hydra overrides to a typed, completed configuration."""

import dataclasses
from pathlib import Path

import pytest

from resnet_lab.config.groups import config_dir, groups
from resnet_lab.config.identity import identity
from resnet_lab.config.request import compose
from resnet_lab.config.schema import TrainConfig
from resnet_lab.data.spec import SmallImagesConfig
from resnet_lab.errors import UserError
from resnet_lab.models.description import ModelConfig
from resnet_lab.runs.folder import RunFolder


def test_the_default_is_a_typed_run_on_the_digits() -> None:
    config = compose([])
    assert isinstance(config, TrainConfig)
    assert isinstance(config.data, SmallImagesConfig)
    assert isinstance(config.model, ModelConfig)
    assert config.data.name == "digits"


def test_channels_and_classes_come_from_the_data() -> None:
    model = compose([]).model
    assert (model.in_channels, model.num_classes) == (1, 10)


def test_an_override_reaches_its_field_with_its_type() -> None:
    config = compose(["model.depth=32", "recipe.lr=0.5", "seed=3", "model.shortcut=none"])
    assert (config.model.depth, config.recipe.lr, config.seed, config.model.shortcut) == (32, 0.5, 3, "none")


def test_a_depth_that_is_not_6n_plus_2_names_the_two_nearest() -> None:
    with pytest.raises(UserError, match="20 and 26"):
        compose(["model.depth=21"])


def test_more_channels_than_the_images_have_is_refused() -> None:
    with pytest.raises(UserError, match="in_channels"):
        compose(["model.in_channels=3"])


def test_fewer_classes_than_the_data_has_is_refused() -> None:
    with pytest.raises(UserError, match="10 classes"):
        compose(["model.num_classes=9"])


def test_a_shortened_run_is_the_one_whose_numbers_are_typed(tmp_path: Path) -> None:
    short = compose(["recipe=he2015_cifar", "recipe.shorten=16", f"runs_root={tmp_path}"])
    typed = ["recipe.iterations=4000", "recipe.drops=[2000,3000]"]
    assert identity(short) == identity(compose(["recipe=he2015_cifar", *typed]))
    assert identity(short) != identity(compose(["recipe=he2015_cifar"]))
    assert identity(RunFolder.create(short).config()) == identity(short)


def test_debug_keeps_the_run_but_shortens_it() -> None:
    full, short = compose(["recipe=he2015_cifar"]), compose(["recipe=he2015_cifar", "debug=true"])
    assert short.model == full.model
    assert short.recipe.iterations is not None
    assert short.recipe.iterations < 20
    assert len(short.recipe.drops) == len(full.recipe.drops)
    assert short.data.train_images == 32


def test_debug_gives_the_values_that_its_folder_will_be_read_with(tmp_path: Path) -> None:
    config = compose(["recipe=he2015_cifar", "debug=true", f"runs_root={tmp_path}"])
    assert identity(RunFolder.create(config).config()) == identity(config)  # 2 and 2.0 are two texts


@pytest.mark.parametrize(
    "path", sorted(config_dir().rglob("*.yaml")), ids=lambda path: path.relative_to(config_dir()).as_posix()
)
def test_every_file_starts_with_the_command_that_runs_it(path: Path) -> None:
    comments = [
        line for line in path.read_text().splitlines() if line.startswith("#") and "@package" not in line
    ]
    assert comments, f"{path.name} has no comment"
    assert "resnet-lab" in comments[0]


@pytest.mark.parametrize("model", groups().get("model", []))
def test_every_model_option_composes(model: str) -> None:
    assert compose([f"model={model}", "data=cifar10"]).model.num_classes == 10


@pytest.mark.parametrize("recipe", groups().get("recipe", []))
def test_every_recipe_option_composes(recipe: str) -> None:
    config = compose([f"recipe={recipe}", "data=imagenet"], planned=True)
    assert config.recipe.name == recipe
    assert dataclasses.is_dataclass(config.recipe)
